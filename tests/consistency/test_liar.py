"""The deliberate lie of ``make check-consistency``."""

from __future__ import annotations

import itertools
from concurrent import futures
from typing import Any

import grpc

from tests.consistency.liar import liar

_SERVICE = "/milvus.proto.milvus.MilvusService"


class _Counting(grpc.GenericRpcHandler):
    """Answers each call with its number."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        return grpc.unary_unary_rpc_method_handler(lambda *_: b"%d" % next(self._numbers))


def test_the_liar_repeats_reads_and_nothing_else() -> None:
    """An equal Query gets the old answer; another Query and an Insert do not."""
    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((_Counting(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with (
            grpc.insecure_channel(f"127.0.0.1:{port}") as upstream,
            liar(upstream, 3600) as lying,
            grpc.insecure_channel(f"127.0.0.1:{lying}") as client,
        ):

            def call(method: str, request: bytes) -> bytes:
                found: Any = client.unary_unary(f"{_SERVICE}/{method}")
                return bytes(found(request, timeout=30))

            assert [call("Query", b"a"), call("Query", b"a"), call("Query", b"b")] == [b"0", b"0", b"1"]
            assert [call("Insert", b"a"), call("Insert", b"a")] == [b"2", b"3"]
    finally:
        server.stop(None).wait()
