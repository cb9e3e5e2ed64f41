"""Reads the status of a running instance."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from pathlib import Path
from typing import Any

from kiteway.instance import Instance

_TIMEOUT_SECONDS = 10.0


class _UnixConnection(http.client.HTTPConnection):
    """The standard library's client on a unix socket: httpx's transport leaks the socket when it is refused."""

    def __init__(self, path: Path) -> None:
        super().__init__("kiteway", timeout=_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def read_status(instance: Instance) -> dict[str, Any]:
    """Return what the control plane says; when it does not answer, the state is not ready and ``reason`` says so."""
    connection = _UnixConnection(instance.status_socket)
    try:
        with contextlib.closing(connection):
            connection.request("GET", "/status")
            response = connection.getresponse()
            if response.status == http.client.OK:
                found: dict[str, Any] = json.load(response)
                return found
            why = f"HTTP status {response.status}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = str(error)
    reason = f"the control plane does not answer ({why}); it is started again by itself"
    return {"state": "not ready", "reasons": [reason], "ready": False, "reason": reason}
