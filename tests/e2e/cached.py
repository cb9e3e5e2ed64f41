"""A real Envoy with two workers and a cache, in front of a small gRPC server that answers reads as a Milvus would."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any, Self

import grpc
from pymilvus.grpc_gen import common_pb2, milvus_pb2

from tests.e2e.admission import RATE_LIMIT, until
from tests.e2e.routed import routed
from tests.e2e.test_filter import SERVICE, UNLIMITED, Envoy, running_envoy

BOUNDED = common_pb2.ConsistencyLevel.Bounded
STRONG = common_pb2.ConsistencyLevel.Strong
SESSION = common_pb2.ConsistencyLevel.Session
EVENTUALLY = common_pb2.ConsistencyLevel.Eventually
CUSTOMIZED = common_pb2.ConsistencyLevel.Customized
OWN_SUBCHANNEL = [*UNLIMITED, ("grpc.use_local_subchannel_pool", 1)]


class Milvus(grpc.GenericRpcHandler):
    """
    A gRPC server that answers reads with the number of the answer as the only score, once `open` is set.

    Attributes:
        users: the values of `authorization` that it answers; None: all.
        changes: an event that changes wait for.
        calls: how often each method was called.
        reads: the reads that have arrived.
        level: the level of every collection.
        code: Milvus's code in the answers to reads and to changes.
        size: bytes of padding in the answers to reads.
        lag: how long a read with a guarantee timestamp waits, in seconds.
    """

    def __init__(self, users: Collection[str] | None = None) -> None:
        self.users = users
        self.open, self.changes = threading.Event(), threading.Event()
        self.open.set()
        self.changes.set()
        self.calls: Counter[str] = Counter()
        self.reads: list[milvus_pb2.SearchRequest] = []
        self.level = BOUNDED
        self.code = 0
        self.size = 0
        self.lag = 0.0
        self._lock = threading.Lock()
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=256), options=UNLIMITED)
        self._server.add_generic_rpc_handlers([self])
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Accept any method."""
        method = details.method.rpartition("/")[2]
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self._answer(method, request, context))

    def _answer(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        with self._lock:
            self.calls[method] += 1
            number = self.calls[method]
        if method.startswith(("Drop", "NoSuch")):
            self.changes.wait()
        if self.users is not None and dict(context.invocation_metadata()).get("authorization") not in self.users:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "auth check failure")
        status = common_pb2.Status(code=self.code)
        answer: Any = status
        if method == "AllocTimestamp":
            answer = milvus_pb2.AllocTimestampResponse(timestamp=hybrid(time.time()))
        elif method == "DescribeCollection":
            answer = milvus_pb2.DescribeCollectionResponse(consistency_level=self.level)
        elif method == "Search":
            self.reads.append(milvus_pb2.SearchRequest.FromString(request))
            if self.reads[-1].consistency_level == CUSTOMIZED:
                time.sleep(self.lag)
            while not self.open.wait(0.02) and context.is_active():
                pass
            status = common_pb2.Status(code=self.code)
            name = "x" * self.size or identity(dict(context.invocation_metadata()), request)
            answer = milvus_pb2.SearchResults(status=status, collection_name=name)
            answer.results.scores.append(number)
        return bytes(answer.SerializeToString())

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.open.set()
        self.changes.set()
        self._server.stop(grace=None).wait()


class Client:
    """A client with its own connection."""

    def __init__(self, envoy: Envoy, **metadata: str) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{envoy.port}", options=OWN_SUBCHANNEL)
        self._metadata = tuple(metadata.items())

    def start(self, request: bytes, timeout: float | None = 30, method: str = "Search") -> grpc.Future[bytes]:
        """Begin a call."""
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(f"{SERVICE}/{method}")
        return call.future(request, timeout=timeout, metadata=self._metadata)

    def stream(self, method: str, requests: Iterator[bytes]) -> grpc.Call:
        """Begin a call with the messages that `requests` gives."""
        call: grpc.StreamUnaryMultiCallable[bytes, bytes] = self._channel.stream_unary(f"{SERVICE}/{method}")
        return call.future(requests, timeout=30, metadata=self._metadata)

    def search(self, request: bytes | None = None) -> tuple[int, str]:
        """Search and return the number of the answer, and what the cache did."""
        return outcome(self.start(question() if request is None else request))

    def refused(self, request: bytes) -> bool:
        """Search, and say whether a limit refused it."""
        results = milvus_pb2.SearchResults.FromString(self.start(request).result())
        return bool(results.status.code == RATE_LIMIT)

    def call(self, method: str, request: bytes = b"") -> int:
        """Make a call whose answer is a status, and return its code."""
        code: int = common_pb2.Status.FromString(self.start(request, method=method).result()).code
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._channel.close()


def outcome(call: Any) -> tuple[int, str]:
    """Return the number of a read's answer, and what the cache did, without the age."""
    results = milvus_pb2.SearchResults.FromString(call.result())
    assert results.status.code == 0, results.status
    did = dict(call.initial_metadata()).get("kiteway-cache", "")
    return int(results.results.scores[0]), did.partition("; age")[0]


def http_request(envoy: Envoy, method: str, path: str) -> int:
    """Make a REST request and return its HTTP status."""
    connection = http.client.HTTPConnection("127.0.0.1", envoy.port, timeout=10)
    connection.request(method, path, body="{}", headers={"content-type": "application/json"})
    status = connection.getresponse().status
    connection.close()
    return status


def arrived(clients: Collection[Client]) -> None:
    """Wait until Envoy has handled what these clients have sent: it handles the frames of a connection in their order."""
    for client in clients:
        client.call("GetVersion")


def updates(envoy: Envoy) -> int:
    """Return how often Envoy has taken new routes."""
    stats = envoy.get("/stats?format=json&filter=rds.routes.config_reload$")["stats"]
    return sum(stat.get("value", 0) for stat in stats)


def identity(metadata: Mapping[str, str | bytes], request: bytes) -> str:
    """Return a text that says for whom and to what a Search is answered."""
    search = milvus_pb2.SearchRequest.FromString(request)
    for field in ("guarantee_timestamp", "consistency_level", "use_default_consistency"):
        search.ClearField(field)
    headers = [metadata.get(name, "") for name in ("authorization", "dbname", "x-tenant")]
    return hashlib.sha256(repr((headers, search.SerializeToString(deterministic=True))).encode()).hexdigest()


def hybrid(seconds: float) -> int:
    """Return Milvus's timestamp for a time since the epoch."""
    return int(seconds * 1000) << 18


def question(collection: str = "books", vectors: bytes = b"v", **fields: Any) -> bytes:
    """Return a SearchRequest at the collection's level, unless `fields` says another."""
    consistency = {} if "consistency_level" in fields else {"use_default_consistency": True}
    request = milvus_pb2.SearchRequest(
        collection_name=collection, nq=1, placeholder_group=vectors, **consistency, **fields
    )
    return bytes(request.SerializeToString())


def cache(**changes: Any) -> dict[str, Any]:
    """Return the configuration of a cache."""
    return {
        "pool": "test/milvus/19530",
        "cluster": "milvus",
        "bound_ms": 5000,
        "eventual_bound_ms": 5000,
        "fill_lag_ms": 1000,
        "max_wait_ms": 3000,
        "memory": 1 << 24,
        "max_entry_bytes": 1 << 20,
        "epoch": 0,
        "reads": True,
    } | changes


@contextlib.contextmanager
def behind(
    milvus: Milvus,
    directory: Path,
    config: Mapping[str, Any] | None = None,
    action: Mapping[str, Any] | None = None,
    **parts: Any,
) -> Iterator[Envoy]:
    """Run an Envoy with two workers and a cache in front of `milvus`; `action` has more fields of its routes' action."""
    config = routed([milvus.port], {"cache": cache() if config is None else config, **parts}, directory, action)
    with running_envoy(directory, config, workers=2) as envoy:
        yield envoy


def warm(client: Client, collection: str = "books") -> None:
    """Make other reads of a collection until its level is known and there is a sample that is old enough for a fill."""
    until(lambda: client.search(question(collection, b"warm"))[1] in {"hit", "miss"})
