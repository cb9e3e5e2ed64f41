"""A client of the victim that calls without a pause, on one long connection and on new ones."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Self

import grpc
from pymilvus.grpc_gen import milvus_pb2

from tests.e2e.traffic import OK_RESULT, SEARCH

_PAUSE_SECONDS = 0.02
_NEW_CONNECTION = 10
"""So many calls are on a connection that lasts, then one on a new connection."""
_DEADLINE_SECONDS = 5.0
_EVENTUALLY = 3
_ASKED = milvus_pb2.SearchRequest(
    collection_name="books", consistency_level=_EVENTUALLY, guarantee_timestamp=1
).SerializeToString()
"""At this level a cache needs no timestamp of Milvus."""


def channel(port: int, host: str, roots: bytes) -> grpc.Channel:
    """
    Return a new connection over TLS to a host on a port of 127.0.0.1, with retries of the client off.

    An attempt to connect may take 1 s, and a refused one is repeated after 50 to 200 ms (gRPC core takes
    ``min_reconnect_backoff_ms`` as the time for an attempt). With 50 ms, calls failed on a busy machine.
    """
    options: list[tuple[str, Any]] = [("grpc.ssl_target_name_override", host), ("grpc.enable_retries", 0)]
    options += [("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 50)]
    options += [("grpc.max_reconnect_backoff_ms", 200), ("grpc.min_reconnect_backoff_ms", 1000)]
    return grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(roots), options)


def ask(connection: grpc.Channel, timeout: float = _DEADLINE_SECONDS) -> bytes:
    """Search, the same each time."""
    stub: grpc.UnaryUnaryMultiCallable[bytes, bytes] = connection.unary_unary(SEARCH)
    return stub(_ASKED, timeout=timeout)


def answered(port: int, host: str, roots: bytes, timeout: float = 2.0) -> bool:
    """Tell whether a new client of a host is served, with a certificate that it trusts."""
    context = ssl.create_default_context(cadata=roots.decode())
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as plain:
            context.wrap_socket(plain, server_hostname=host).close()
    except OSError:
        return False
    with channel(port, host, roots) as connection:
        try:
            return ask(connection, timeout) == OK_RESULT
        except grpc.RpcError:
            return False


class Calls(threading.Thread):
    """
    The calls; a context manager.

    Attributes:
        ok: how many were answered.
        failures: what the others came to.
    """

    def __init__(self, port: int, host: str, roots: bytes) -> None:
        super().__init__(daemon=True)
        self.ok = 0
        self.failures: Counter[str] = Counter()
        self._place = (port, host, roots)
        self._done = threading.Event()
        self._interrupted = threading.Event()
        self._resumed = 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()

    @contextlib.contextmanager
    def interrupted(self) -> Iterator[None]:
        """Count no failure meanwhile: what is in flight is lost when Envoy is killed."""
        self._interrupted.set()
        try:
            yield
        finally:
            # A call that was begun meanwhile may fail until its deadline.
            self._resumed = time.monotonic()
            self._interrupted.clear()

    def run(self) -> None:
        """Call until the end."""
        with contextlib.ExitStack() as stack:
            lasting, since = stack.enter_context(channel(*self._place)), self._resumed
            number = 0
            while not self._done.wait(_PAUSE_SECONDS):
                if since != self._resumed:
                    # A client that was refused meanwhile waits before it tries again, and fails its calls until then.
                    lasting, since = stack.enter_context(channel(*self._place)), self._resumed
                number += 1
                begin, excused = time.monotonic(), self._interrupted.is_set()
                try:
                    if number % _NEW_CONNECTION:
                        ask(lasting)
                    else:
                        with channel(*self._place) as connection:
                            ask(connection)
                    self.ok += 1
                except grpc.RpcError as error:
                    if not (excused or self._interrupted.is_set() or begin < self._resumed):
                        self.failures[f"{error.code().name}: {str(error.details())[:120]}"] += 1
