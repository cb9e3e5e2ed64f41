"""Starts an instance: its two children under the supervisor, in the foreground."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kiteway.controlplane.config import Config
from kiteway.envoy.bootstrap import OverloadLimits, bootstrap
from kiteway.instance import Instance
from kiteway.supervisor import ChildSpec, Event, controlplane_child, envoy_child, run
from kiteway.supervisor.children import DRAIN_SECONDS


@dataclass(frozen=True, slots=True)
class Launch:
    """
    What to start.

    Attributes:
        instance: where its files are; the caller owns it (`Instance.acquire`).
        config: the control plane's.
        envoy: the Envoy binary.
        envoy_prefix: put before Envoy's command line (the demo runs it in Milvus's network namespace).
        drain_seconds: how long calls in flight may take when it is told to stop.
        to_stderr: whether the children's logs go to standard error instead of files.
    """

    instance: Instance
    config: Config
    envoy: Path
    envoy_prefix: tuple[str, ...] = ()
    drain_seconds: float = DRAIN_SECONDS
    to_stderr: bool = False


async def launch(what: Launch, on_event: Callable[[Event], None]) -> int:
    """Run until a signal or cancellation; return the exit status."""
    return await run(_children(what), what.instance, on_event=on_event)


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
    return [controlplane_child(what.instance, what.config.plain(), to_stderr=what.to_stderr), envoy]
