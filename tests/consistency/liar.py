"""The deliberate lie: a balancer that repeats old answers. A run whose judge does not notice it proves nothing."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc

_READS = ("/milvus.proto.milvus.MilvusService/Search", "/milvus.proto.milvus.MilvusService/Query")
_THREADS = 16


class _Repeating(grpc.GenericRpcHandler):
    def __init__(self, upstream: grpc.Channel, seconds: float) -> None:
        self._upstream = upstream
        self._seconds = seconds
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, bytes], tuple[float, bytes]] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        method = handler_call_details.method

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            key = (method, request)
            with self._lock:
                kept = self._answers.get(key)
            if kept and time.monotonic() - kept[0] < self._seconds:
                return kept[1]
            call: Any = self._upstream.unary_unary(method)
            try:
                found: bytes = call(request, timeout=context.time_remaining(), metadata=_kept(context))
            except grpc.RpcError as error:
                context.abort(error.code(), error.details() or "")
            if method in _READS:
                with self._lock:
                    self._answers[key] = (time.monotonic(), found)
            return found

        return grpc.unary_unary_rpc_method_handler(answer)


def _kept(context: grpc.ServicerContext) -> list[tuple[str, str | bytes]]:
    return [(name, value) for name, value in context.invocation_metadata() if name == "authorization"]


@contextlib.contextmanager
def liar(upstream: grpc.Channel, seconds: float) -> Iterator[int]:
    """Serve at a port of 127.0.0.1, in plaintext, what `upstream` said to the same read up to `seconds` ago."""
    server = grpc.server(futures.ThreadPoolExecutor(_THREADS))
    server.add_generic_rpc_handlers((_Repeating(upstream, seconds),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(1).wait()
