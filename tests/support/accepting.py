"""The one accept loop of the tests' blocking servers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self


class Accepting:
    """
    A listener on a free port of 127.0.0.1, open while its block runs.

    ``serve`` is called with each connection in a separate thread, and owns it. An ``OSError`` of ``serve`` ends its
    connection only. At the end of the block every connection is shut down, and the threads are joined.
    """

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads[1:]:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:  # the block has ended
                return
            # For the end of the block; the descriptor of ``accepted`` itself may have been handed to a TLS socket.
            second = accepted.dup()
            self._connections.append(second)
            thread = threading.Thread(target=self._run, args=(accepted, second), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, accepted: socket.socket, second: socket.socket) -> None:
        # The connection is closed when both are.
        with accepted, second, contextlib.suppress(OSError):
            self._serve(accepted)
