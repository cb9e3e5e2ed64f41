"""A real Envoy with two workers and a policy, in front of a small gRPC server that holds Searches back."""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any, Self

import grpc
from pymilvus.grpc_gen import milvus_pb2

from tests.e2e.routed import routed
from tests.e2e.test_filter import SERVICE, UNLIMITED, Envoy, running_envoy

RATE_LIMIT = 8
OWN_SUBCHANNEL = [*UNLIMITED, ("grpc.use_local_subchannel_pool", 1)]


class Milvus(grpc.GenericRpcHandler):
    """A gRPC server that answers Search once `open` is set, and everything else at once; it counts the calls by user."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.calls: Counter[str] = Counter()
        self.sizes: list[int] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=64), options=UNLIMITED)
        self._server.add_generic_rpc_handlers([self])
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Accept any method."""
        metadata = dict(details.invocation_metadata)

        def respond(request: bytes, context: grpc.ServicerContext) -> bytes:
            user = base64.b64decode(metadata.get("authorization", b"")).decode().partition(":")[0]
            self.calls[user] += 1
            self.sizes.append(len(request))
            if user == "stranger":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "auth check failure")
            if details.method.endswith("/Search"):
                while not self.open.wait(0.1) and context.is_active():
                    pass
            return b"\x0a\x00"

        return grpc.unary_unary_rpc_method_handler(respond)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.open.set()
        self._server.stop(grace=None).wait()


class Client:
    """A client of one user, with its own connection."""

    def __init__(self, envoy: Envoy, user: str) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{envoy.port}", options=OWN_SUBCHANNEL)
        credentials = base64.b64encode(f"{user}:secret".encode()).decode()
        self._metadata: tuple[tuple[str, str | bytes], ...] = (("authorization", credentials),)

    def start(self, method: str = "Search", request: bytes | None = None, timeout: float = 30) -> grpc.Future[bytes]:
        """Begin a call."""
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(f"{SERVICE}/{method}")
        return call.future(question() if request is None else request, timeout=timeout, metadata=self._metadata)

    def call(self, method: str = "Search", request: bytes | None = None) -> milvus_pb2.SearchResults:
        """Make a call and return its answer."""
        results: milvus_pb2.SearchResults = milvus_pb2.SearchResults.FromString(self.start(method, request).result())
        return results

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._channel.close()


def question(collection: str = "books", vectors: bytes = b"") -> bytes:
    """Return a SearchRequest."""
    request = milvus_pb2.SearchRequest(collection_name=collection, nq=1, placeholder_group=vectors)
    return bytes(request.SerializeToString())


@contextlib.contextmanager
def behind(milvus: Milvus, policy: dict[str, Any], directory: Path) -> Iterator[Envoy]:
    """Run an Envoy with two workers in front of `milvus`."""
    with running_envoy(directory, routed([milvus.port], {"policy": policy}, directory), workers=2) as envoy:
        yield envoy


def admission(**changes: Any) -> dict[str, Any]:
    """Return a policy that lets one read in at a time."""
    return {"admission": {"scope": "pool", "reads": 1, "waitMs": 20_000, "queuedBytes": 1 << 20} | changes}


def statistic(envoy: Envoy, suffix: str) -> int:
    """Return the sum of Kiteway's counters or gauges whose name ends with `suffix`."""
    stats = envoy.get("/stats?format=json&usedonly")["stats"]
    return sum(stat["value"] for stat in stats if stat.get("name", "").endswith(f"kiteway.{suffix}"))


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until `condition` is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition has not become true"
        time.sleep(0.01)
