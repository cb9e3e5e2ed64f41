"""Reads the status of a running instance."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any

from kiteway.instance import Instance
from kiteway.supervisor.pulse import HUNG_SECONDS
from kiteway.supervisor.state import ChildState, read_state

_TIMEOUT_SECONDS = 10.0
_HANGS_SECONDS = 1.0
"""For a control plane of which the supervisor says that it hangs: it may go on just now."""


class _UnixConnection(http.client.HTTPConnection):
    """The standard library's client on a unix socket: httpx's transport leaks the socket when it is refused."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("kiteway", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def read_status(instance: Instance) -> dict[str, Any]:
    """Return what the control plane says; when it does not answer, the state is not ready and ``reason`` says so."""
    try:
        found: dict[str, Any] = _get(instance, "/status")
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = _reason(_child(instance), str(error))
        return {"state": "not ready", "reasons": [reason], "ready": False, "reason": reason}
    return found


def read_errors(instance: Instance) -> list[dict[str, Any]] | None:
    """Return the diagnostics that are errors, at a fraction of the cost of a status; None without an answer."""
    try:
        found: list[dict[str, Any]] = _get(instance, "/errors")
    except (OSError, http.client.HTTPException, ValueError):
        return None
    return found


def _get(instance: Instance, path: str) -> Any:
    """Ask the control plane. Raises ``OSError``, ``HTTPException``, ``ValueError`` when it does not answer with JSON."""
    child = _child(instance)
    hangs = child is not None and child.silent_since is not None
    connection = _UnixConnection(instance.status_socket, _HANGS_SECONDS if hangs else _TIMEOUT_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise http.client.HTTPException(f"HTTP status {response.status}")
        return json.load(response)


def _child(instance: Instance) -> ChildState | None:
    state = read_state(instance.supervisor_file)
    return state.children.get("controlplane") if state else None


def _reason(child: ChildState | None, why: str) -> str:
    on = "Envoy serves on with the last configuration"
    if child is not None and child.silent_since is not None:
        seconds = max(0.0, time.time() - child.silent_since)
        return (
            f"the control plane (process {child.pid}) hangs: no answer for {seconds:.0f} s; after {HUNG_SECONDS:g} s it is "
            f"killed and started again. {on}"
        )
    if child is not None and child.pid is None and child.last_exit:
        return f"the control plane has ended ({child.last_exit}) and is started again by itself. {on}"
    return f"the control plane does not answer ({why}). {on}"
