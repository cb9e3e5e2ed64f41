"""HTTP requests to the unix socket of a process of the instance."""

from __future__ import annotations

import contextlib
import http.client
import socket
from pathlib import Path


class _UnixConnection(http.client.HTTPConnection):
    """The standard library's client on a unix socket: httpx's transport leaks the socket when it is refused."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("kiteway", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def get(socket_path: Path, path: str, timeout: float) -> bytes:
    """
    Return the body of the answer to ``GET path``; ``timeout`` is in seconds.

    Raises:
        OSError, http.client.HTTPException: there is no answer, or its status is not 200.
    """
    connection = _UnixConnection(socket_path, timeout)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise http.client.HTTPException(f"HTTP status {response.status}")
        return response.read()
