"""A steady mixed load by gRPC without retries: failed calls are counted, and every written row can be counted."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import grpc
from pymilvus import DataType, MilvusClient
from pymilvus.grpc_gen import milvus_pb2, schema_pb2

from tests.support.reads import BOUNDED, DIMENSION, channel, search_request, service

READ_SECONDS = 20.0
"""The deadline of a read: more than a client with a user behind it has, less than Milvus's own limits."""

STRONG_SECONDS = 60.0
_PAUSE = 0.04
_STRONG = 0


@dataclass
class Calls:
    """
    What became of one kind of calls.

    Attributes:
        seconds: how long each answered call took.
        failures: failed calls by text.
    """

    seconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> int:
        """How many were answered well."""
        return len(self.seconds)

    @property
    def failed(self) -> int:
        """How many were not."""
        return sum(self.failures.values())

    def quantile(self, share: float) -> float:
        """Return the seconds that this share of the answered calls took at most; 0 without any."""
        ranked = sorted(self.seconds)
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0.0

    def histogram(self) -> dict[str, int]:
        """Count the answered calls by time; each bucket is named by its upper end."""
        bounds = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
        found = Counter(next((f"{b:g} s" for b in bounds if s <= b), "more") for s in self.seconds)
        return {name: found[name] for name in (*(f"{b:g} s" for b in bounds), "more") if found[name]}


@dataclass(frozen=True)
class Target:
    """
    A balancer to load.

    Attributes:
        name: says in a report which one.
        address: ``host:port``.
        ca: what its certificate is verified with.
        server_name: the name its certificate carries.
        collection: the rows written through it go here and nowhere else.
    """

    name: str
    address: str
    ca: Path | None
    server_name: str | None
    collection: str

    def connect(self) -> grpc.Channel:
        """Return a channel without retries."""
        return channel(self.address, self.ca, self.server_name)


@dataclass(frozen=True)
class Shape:
    """How many clients: ``readers`` and ``writers`` on one shared connection each, and readers with their own."""

    readers: int = 3
    writers: int = 2
    alone: int = 1
    strong: int = 0
    pause: float = _PAUSE


class MixedLoad:
    """
    Reads (Search and Query at Bounded, GetVersion, DescribeCollection) and Inserts until the end of the ``with``.

    Attributes:
        reads, strong, writes: what became of the calls.
        acknowledged: the primary keys whose Insert was answered well.
        sent: the primary keys of every Insert.
    """

    def __init__(self, target: Target, keys: Iterable[int], shape: Shape | None = None) -> None:
        """Describe the load; ``keys`` gives the primary keys, none of them twice."""
        self._target = target
        self._shape = shape or Shape()
        self._keys = iter(keys)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._channels: list[grpc.Channel] = []
        self.reads, self.strong, self.writes = Calls(), Calls(), Calls()
        self.acknowledged: set[int] = set()
        self.sent: set[int] = set()

    def __enter__(self) -> Self:
        shared = self._connect()
        for number in range(self._shape.readers):
            self._start(self._read, shared, number)
        for _ in range(self._shape.writers):
            self._start(self._write, shared)
        for number in range(self._shape.alone):
            self._start(self._read, self._connect(), number)
        for _ in range(self._shape.strong):
            self._start(self._read_strongly, self._connect())
        self.wait_for(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.join()

    def join(self) -> None:
        """Stop, and wait for the calls in flight."""
        self.stop()
        for thread in self._threads:
            thread.join(STRONG_SECONDS + 5)
        assert not any(thread.is_alive() for thread in self._threads), "a call outlived its deadline"
        for connection in self._channels:
            connection.close()

    def stop(self) -> None:
        """Begin no further call; leaving the ``with`` waits for those in flight."""
        self._stop.set()

    def wait_for(self, more: int, limit: float = 60.0) -> None:
        """Wait until ``more`` further reads have ended."""
        wanted = self.reads.ok + self.reads.failed + more
        deadline = time.monotonic() + limit
        while self.reads.ok + self.reads.failed < wanted:
            assert time.monotonic() < deadline, f"{self._target.name}: no {more} reads ended within {limit} s"
            time.sleep(0.01)

    def _connect(self) -> Any:
        connection = self._target.connect()
        self._channels.append(connection)
        return service(connection)

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _read(self, stub: Any, number: int) -> None:
        name = self._target.collection
        kinds: Sequence[Callable[[int], tuple[Any, Any]]] = (
            lambda n: (stub.Search, search_request(name, n)),
            lambda n: (stub.Query, query_request(name, f"id == {n % 50}", BOUNDED)),
            lambda n: (stub.Search, search_request(name, n)),
            lambda _: (stub.DescribeCollection, milvus_pb2.DescribeCollectionRequest(collection_name=name)),
            lambda _: (stub.GetVersion, milvus_pb2.GetVersionRequest()),
        )
        for turn in itertools.count(number):
            if self._stop.wait(self._shape.pause):
                return
            call, request = kinds[turn % len(kinds)](turn)
            self._call(self.reads, call, request, READ_SECONDS)

    def _read_strongly(self, stub: Any) -> None:
        request = query_request(self._target.collection, "id == 1", _STRONG)
        while not self._stop.wait(0.2):
            self._call(self.strong, stub.Query, request, STRONG_SECONDS)

    def _write(self, stub: Any) -> None:
        while not self._stop.wait(2 * self._shape.pause):
            with self._lock:
                key = next(self._keys)
                self.sent.add(key)
            if self._call(self.writes, stub.Insert, insert_request(self._target.collection, [key]), READ_SECONDS):
                self.acknowledged.add(key)

    def _call(self, calls: Calls, call: Any, request: Any, limit: float) -> bool:
        begin = time.monotonic()
        try:
            answer = call(request, timeout=limit)
        except grpc.RpcError as error:
            failure = f"{call_name(request)}: {error.code().name}: {error.details()}"
        else:
            status = answer.status
            if not (status.code or status.error_code):
                calls.seconds.append(time.monotonic() - begin)
                return True
            failure = f"{call_name(request)}: in-band {status.code}: {status.reason}"
        with self._lock:
            calls.failures[failure] += 1
        return False


def call_name(request: Any) -> str:
    """Return the rpc of a request message."""
    return str(request.DESCRIPTOR.name).removesuffix("Request")


def query_request(collection: str, expression: str, level: int, *fields: str) -> Any:
    """Return a Query as PyMilvus sends it."""
    return milvus_pb2.QueryRequest(
        collection_name=collection,
        expr=expression,
        output_fields=list(fields or ("id",)),
        guarantee_timestamp=2 if level == BOUNDED else 0,
        consistency_level=level,
    )


def insert_request(collection: str, keys: Sequence[int]) -> Any:
    """Return an Insert of rows with these primary keys."""
    vectors = [float((key + i) % 13) for key in keys for i in range(DIMENSION)]
    return milvus_pb2.InsertRequest(
        collection_name=collection,
        num_rows=len(keys),
        fields_data=[
            schema_pb2.FieldData(
                type=schema_pb2.DataType.Int64,
                field_name="id",
                scalars=schema_pb2.ScalarField(long_data=schema_pb2.LongArray(data=keys)),
            ),
            schema_pb2.FieldData(
                type=schema_pb2.DataType.FloatVector,
                field_name="vector",
                vectors=schema_pb2.VectorField(dim=DIMENSION, float_vector=schema_pb2.FloatArray(data=vectors)),
            ),
        ],
    )


def prepare(port: int, certificate: Path, collection: str) -> None:
    """Make a loaded collection with some rows, directly at a Milvus with this certificate."""
    client = MilvusClient(f"https://127.0.0.1:{port}", server_pem_path=str(certificate), server_name="localhost")
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection(collection, schema=schema, index_params=index)
    client.load_collection(collection)
    client.close()
    with channel(f"127.0.0.1:{port}", certificate, "localhost") as connection:
        answer = service(connection).Insert(insert_request(collection, range(50)), timeout=30)
        assert not answer.status.error_code, answer.status.reason


@dataclass(frozen=True)
class Rows:
    """
    What Milvus holds of one run's keys.

    Attributes:
        doubled: rows beyond one for each key.
        lost: acknowledged keys that are not there.
    """

    doubled: int
    lost: int


def count_rows(stub: Any, collection: str, first: int, end: int, acknowledged: set[int], limit: float = 90.0) -> Rows:  # noqa: PLR0917
    """
    Count the rows with keys from ``first`` up to ``end`` at Strong, directly at a proxy of Milvus.

    ``count(*)`` counts rows and a query gives each key once, so their difference is what was written twice. Milvus
    itself may show an acknowledged row late (tens of seconds after a fault), so missing ones are waited for.
    """
    within = f"id >= {first} and id < {end}"
    deadline = time.monotonic() + limit
    while True:
        keys = set(_query(stub, collection, within, "id").scalars.long_data.data)
        rows = _query(stub, collection, within, "count(*)").scalars.long_data.data[0]
        found = Rows(rows - len(keys), len(acknowledged - keys))
        if not found.lost or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


def _query(stub: Any, collection: str, expression: str, output: str) -> Any:
    answer = stub.Query(query_request(collection, expression, _STRONG, output), timeout=STRONG_SECONDS)
    assert not answer.status.error_code, answer.status.reason
    return next(f for f in answer.fields_data if f.field_name == output)
