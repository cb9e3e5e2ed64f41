"""The children of Kiteway: the control plane, Envoy, and the web page where there is one."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kiteway.files import write_atomic
from kiteway.filter import filter_path
from kiteway.instance import Instance
from kiteway.supervisor.child import ChildSpec
from kiteway.supervisor.pulse import Pulse
from kiteway.supervisor.ready import controlplane_answers, envoy_listening
from kiteway.supervisor.waiting_room import Listening

DRAIN_SECONDS = 30.0
_DRAIN_POLL_SECONDS = 0.1
_IDLE_SECONDS = 1.0
"""Seconds without a request after which connections of HTTP/1 are closed; those of HTTP/2 get a GOAWAY as early."""
_SEARCH_PATH = "ENVOY_DYNAMIC_MODULES_SEARCH_PATH"
# Envoy needs no other variables, and others can hold secrets.
_ENVOY_ENVIRONMENT = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", _SEARCH_PATH)

_TUNABLES = "GLIBC_TUNABLES"
# Envoy's allocator has caches per CPU, without locks, only if it can register the kernel's restartable sequences. glibc
# since 2.35 registers first, for sched_getcpu alone (TCMalloc's docs/rseq.md). The user's own tunables come last and win.
_NO_RSEQ = "glibc.pthread.rseq=0"


def controlplane_child(instance: Instance, config: Mapping[str, Any], *, to_stderr: bool = False) -> ChildSpec:
    """Return the control plane. Its ``config`` (JSON values) is written to a 0600 file, whose name is its argument."""
    write_atomic(instance.controlplane_file, json.dumps(config).encode(), 0o600)
    return ChildSpec(
        name="controlplane",
        # -P: `-m` would import from the working directory first. Not -I: Kiteway can be installed for this user only.
        argv=(sys.executable, "-P", "-m", "kiteway.controlplane", str(instance.controlplane_file)),
        env=os.environ,
        log=None if to_stderr else instance.log_file("controlplane"),
        pulse=Pulse(functools.partial(controlplane_answers, instance)),
    )


def dashboard_child(instance: Instance, config: Mapping[str, Any], *, to_stderr: bool = False) -> ChildSpec:
    """Return the web page. Its ``config`` (JSON values) is written to a 0600 file."""
    write_atomic(instance.dashboard_file, json.dumps(config).encode(), 0o600)
    return ChildSpec(
        name="dashboard",
        argv=(sys.executable, "-P", "-m", "kiteway.dashboard", str(instance.data_dir)),
        env=os.environ,
        log=None if to_stderr else instance.log_file("dashboard"),
    )


def envoy_child(
    envoy: Path,
    instance: Instance,
    bootstrap: Mapping[str, Any],
    *,
    concurrency: int | None = None,
    drain_seconds: float = DRAIN_SECONDS,
    log_level: str = "info",
    env: Mapping[str, str] | None = None,
    to_stderr: bool = False,
    waiting_room: bool = False,
) -> ChildSpec:
    """
    Return Envoy with ``bootstrap``.

    With ``waiting_room`` clients wait while it is restarted (`kiteway.supervisor.waiting_room`). ``concurrency`` is the
    number of its worker threads, by default one per CPU; ``drain_seconds`` how long requests in progress may take when it
    is told to stop; ``env`` is added to its environment.

    Hot restart is off, because a crash would leave its shared memory and sockets behind. A successor listens on the same
    port at the same time (SO_REUSEPORT).
    """
    write_atomic(instance.drain_file, b"0", 0o600)
    write_atomic(instance.bootstrap_file, json.dumps(bootstrap).encode(), 0o600)
    argv = [
        str(envoy),
        "--config-path",
        str(instance.bootstrap_file),
        "--disable-hot-restart",
        "--log-level",
        log_level,
        # At its start it would log every extension, a hundred lines. A rejected resource it would log twice and completely,
        # 11 MB for a table of 300 hosts; the control plane gets the reason and logs it.
        "--component-log-level",
        "main:warning,config:error",
        # A rejection contains text of tenants, which can have line ends.
        "--log-format-escaped",
    ]
    if concurrency is not None:
        argv += ["--concurrency", str(concurrency)]

    async def drain() -> None:
        await drain_envoy(instance)

    async def look() -> Listening:
        return await envoy_listening(instance)

    return ChildSpec(
        name="envoy",
        argv=tuple(argv),
        env=_envoy_environment() | dict(env or {}),
        log=None if to_stderr else instance.log_file("envoy"),
        drain=drain,
        drain_seconds=drain_seconds,
        look=look if waiting_room else None,
    )


def _envoy_environment() -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _ENVOY_ENVIRONMENT if name in os.environ}
    tunables = [_NO_RSEQ, *filter(None, [os.environ.get(_TUNABLES)])]
    # Envoy 1.38 finds the filter of a route by name in this folder; newer versions use the path in the configuration.
    search = {_SEARCH_PATH: str(found.parent)} if (found := filter_path()) else {}
    return search | inherited | {_TUNABLES: ":".join(tunables)}


async def drain_envoy(instance: Instance) -> None:
    """
    Drain Envoy: fail its health check, accept no connections, ask clients to reconnect, return when all have disconnected.

    Busy clients are asked with their next response, idle ones within a second (``instance.drain_file``). HTTP/1 has nothing
    to ask an idle client with, and Envoy would keep its connection for the ``drain_timeout``: when only such connections are
    left, they are not waited for.

    Raises:
        kiteway.envoy.admin.AdminError: Envoy does not answer.
    """
    # Imported here, as the HTTP client would be most of the supervisor's memory.
    from kiteway.envoy.admin import AdminClient

    async with AdminClient(instance.admin_socket) as admin:
        await admin.fail_healthcheck()
        await admin.drain_listeners(graceful=False)
        write_atomic(instance.drain_file, b"1", 0o600)
        busy_at = time.monotonic()
        while (now := await admin.connections()).open:
            if not now.idle_http1:
                busy_at = time.monotonic()
            elif time.monotonic() - busy_at >= _IDLE_SECONDS:
                return
            await asyncio.sleep(_DRAIN_POLL_SECONDS)
