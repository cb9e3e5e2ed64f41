"""The calls that a verification makes, and what differs from where the tests run."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest

from kiteway.milvus.catalogue import RpcClass
from kiteway.milvus.verify import CallSeen
from kiteway.milvus.verify.calls import TESTED, Recorder, differences

milvus_pb2 = pytest.importorskip("pymilvus.grpc_gen.milvus_pb2")

SERVICE = "/milvus.proto.milvus.MilvusService"


class _Server(grpc.GenericRpcHandler):
    """Search works once and is then busy; Query is refused inside the answer; GetVersion is not there."""

    def __init__(self) -> None:
        self.searches = 0

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        def respond(_request: bytes, context: grpc.ServicerContext) -> bytes:
            if details.method.endswith("/Query"):
                return b"\x0a\x02\x18\x08"  # QueryResults{status: {code: 8}}
            self.searches += 1
            if self.searches > 1:
                context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
            return b"\x0a\x00"

        return None if details.method.endswith("/GetVersion") else grpc.unary_unary_rpc_method_handler(respond)


@pytest.fixture
def port() -> Iterator[int]:
    """Return the port of a server."""
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([_Server()])
    number = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield number
    server.stop(None).wait()


def test_every_call_is_counted_with_its_end(port: int) -> None:
    """A call counts as working only if gRPC and the answer say so; blocking calls and futures count alike."""
    recorder = Recorder()
    before = grpc.insecure_channel
    with recorder.recording(), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:

        def stub(name: str, answer: Any) -> grpc.UnaryUnaryMultiCallable[bytes, object]:
            return channel.unary_unary(f"{SERVICE}/{name}", response_deserializer=answer.FromString)

        search = stub("Search", milvus_pb2.SearchResults)
        search(b"", timeout=10)
        assert search.future(b"", timeout=10).exception() is not None
        stub("Query", milvus_pb2.QueryResults)(b"", timeout=10)
        for name in ("GetVersion", "Brandnew"):
            with pytest.raises(grpc.RpcError):
                stub(name, milvus_pb2.GetVersionResponse)(b"", timeout=10)

    assert grpc.insecure_channel is before
    assert recorder.seen() == (
        CallSeen(rpc=f"{SERVICE}/Brandnew", rpc_class=None, made=1, worked=0, failures=("UNAVAILABLE",)),
        CallSeen(rpc="GetVersion", rpc_class=RpcClass.HEALTH, made=1, worked=0, failures=("UNIMPLEMENTED",)),
        CallSeen(rpc="Query", rpc_class=RpcClass.READ, made=1, worked=0, failures=("Milvus's code 8",)),
        CallSeen(rpc="Search", rpc_class=RpcClass.READ, made=2, worked=1, failures=("UNAVAILABLE",)),
    )
    assert list(differences("v2.3.5", recorder.seen())) == [
        f"Kiteway does not know the rpc {SERVICE}/Brandnew: it passes, and is never repeated as a read.",
        f"1 of 1 calls of {SERVICE}/Brandnew failed: UNAVAILABLE.",
        "This Milvus does not have the rpc GetVersion.",
        "1 of 1 calls of Query failed: Milvus's code 8.",
        "1 of 2 calls of Search failed: UNAVAILABLE.",
    ]


@pytest.mark.parametrize("version", ["2.3.5", "v2.3.5-lite", "milvus_lite-3.2.2", "v2.5.1"])
def test_a_tested_version_is_no_difference(version: str) -> None:
    """The versions of the project's own tests are known in each form in which Milvus says them."""
    assert differences(version, ()) == ()


@pytest.mark.parametrize(("version", "named"), [("v2.6.1", "v2.6.1"), (None, "does not say its version")])
def test_another_version_is_told(version: str | None, named: str) -> None:
    """Another version is told, with those that are tested."""
    [sentence] = differences(version, ())
    assert named in sentence
    assert all(tested in sentence for tested in TESTED)
