"""Starts an instance: its children under the supervisor, in the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import os
import signal
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kiteway.controlplane.config import Config
from kiteway.dashboard.config import DashboardConfig
from kiteway.envoy.bootstrap import OverloadLimits, bootstrap
from kiteway.envoy.user_key import user_key_file
from kiteway.instance import Instance
from kiteway.ports import Claims
from kiteway.report.supervisor import Phase
from kiteway.supervisor import (
    ChildEvent,
    ChildSpec,
    controlplane_child,
    dashboard_child,
    envoy_child,
    read_state,
    run,
    wait_ready,
)
from kiteway.supervisor.children import DRAIN_SECONDS


@dataclass(frozen=True, slots=True)
class Launch:
    """
    The parts of an instance to start.

    Attributes:
        instance: where its files are; the caller owns it (`Instance.acquire`).
        config: the control plane's.
        envoy: the Envoy binary.
        envoy_prefix: put before Envoy's command line (the demo runs it in Milvus's network namespace).
        claims: the claims on its ports; released when it drains, so that another instance may start.
        predecessor: the instance that gets SIGTERM when this one is ready.
        drain_seconds: how long to wait for calls in flight after SIGTERM.
        to_stderr: whether the children's logs go to standard error instead of files.
        dashboard: the web page; None: there is none.
    """

    instance: Instance
    config: Config
    envoy: Path
    claims: Claims
    predecessor: Instance | None = None
    envoy_prefix: tuple[str, ...] = ()
    drain_seconds: float = DRAIN_SECONDS
    to_stderr: bool = False
    dashboard: DashboardConfig | None = None


async def launch(
    what: Launch, on_event: Callable[[ChildEvent], None], on_stop: Callable[[signal.Signals], None] = lambda _: None
) -> int:
    """Run until a signal or cancellation; return the exit status. ``on_stop`` is called with the signal at once."""

    def tell(event: ChildEvent) -> None:
        if event.what == "draining":
            what.claims.release()
        on_event(event)

    what.claims.answer()
    follow = asyncio.create_task(_replace(what, on_event))
    try:
        return await run(_children(what), what.instance, on_event=tell, on_stop=on_stop)
    finally:
        follow.cancel()
        await asyncio.gather(follow, return_exceptions=True)


async def _replace(what: Launch, on_event: Callable[[ChildEvent], None]) -> None:
    """Let the predecessor drain once this instance serves."""
    if what.predecessor is None:
        return
    await wait_ready(what.instance, math.inf)
    pid = what.predecessor.running_pid()
    state = read_state(what.predecessor.supervisor_file)
    # A second signal would cut short the predecessor's drain.
    if pid is not None and (state is None or state.phase is Phase.RUNNING):
        on_event(ChildEvent("predecessor", "draining", f"{what.predecessor.data_dir} (process {pid})"))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def _children(what: Launch) -> list[ChildSpec]:
    node_id = f"kiteway-{uuid.uuid4().hex[:12]}"
    envoy = envoy_child(
        what.envoy,
        what.instance,
        bootstrap(what.instance, node_id=node_id, limits=OverloadLimits.of_this_machine()),
        drain_seconds=what.drain_seconds,
        to_stderr=what.to_stderr,
        # The supervisor is not in the network that the demo's listeners may be in.
        waiting_room=not what.envoy_prefix and what.config.settings.listener_network_namespace is None,
    )
    if what.envoy_prefix:
        envoy = dataclasses.replace(envoy, argv=(*what.envoy_prefix, *envoy.argv))
    settings = dataclasses.replace(
        what.config.settings, user_key=user_key_file(what.instance), calls_socket=what.instance.calls_socket
    )
    config = msgspec.structs.replace(what.config, settings=settings)
    children = [controlplane_child(what.instance, config.plain(), to_stderr=what.to_stderr), envoy]
    if what.dashboard is not None:
        page = msgspec.to_builtins(what.dashboard)
        # Children stop in reverse order: the first one shows the drain of the others.
        children.insert(0, dashboard_child(what.instance, page, to_stderr=what.to_stderr))
    return children
