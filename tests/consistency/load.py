"""Clients that write, move an alias and read, and record all of it."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from pymilvus import DataType, MilvusClient
from pymilvus.grpc_gen import milvus_pb2, schema_pb2

from tests.consistency.records import Level, Move, Read, Recorded, Write, now
from tests.support.load import query_request
from tests.support.reads import DIMENSION, search_request, service

COLLECTIONS = {"plain": Level.BOUNDED, "strict": Level.STRONG}
"""The collections with their default levels."""

ALIAS = "moving"
BLOCK = 200
"""Rows of a block: what a read asks for."""

_QUICK = (Level.BOUNDED, Level.EVENTUALLY, Level.DEFAULT)
_WAITING = (Level.STRONG, Level.SESSION, Level.CUSTOMIZED, Level.DEFAULT)
_READ_SECONDS = 30.0
_WRITE_PAUSE = 0.1
_READ_PAUSE = 0.02
_MOVE_PAUSE = 4.0
_KEYS = 1_000_000_000
"""Primary keys of one collection."""


@dataclass(frozen=True)
class Arm:
    """
    A balancer under test, or beside it.

    Attributes:
        writes: rows are written through it.
        moves: the alias is moved through it.
    """

    name: str
    connect: Callable[[], grpc.Channel]
    writes: bool = False
    moves: bool = False


def prepare(client: MilvusClient) -> None:
    """Make the collections, loaded, and the alias."""
    for name, level in COLLECTIONS.items():
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("block", DataType.INT64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
        index = client.prepare_index_params()
        index.add_index("vector", index_type="FLAT", metric_type="L2")
        client.create_collection(name, schema=schema, index_params=index, consistency_level=level.name.capitalize())
        client.load_collection(name)
    client.create_alias(next(iter(COLLECTIONS)), ALIAS)


class Clients:
    """Writers, readers and the mover of the alias, each a thread, until the end of the ``with`` of `running`."""

    def __init__(self, arms: tuple[Arm, ...]) -> None:
        """Describe them; nothing happens before `running`."""
        self.recorded = Recorded(dict(COLLECTIONS))
        self.recorded.moves.append(Move(ALIAS, next(iter(COLLECTIONS)), 0.0, 0.0))
        self._arms = arms
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._numbers = {name: itertools.count() for name in COLLECTIONS}
        self._newest = dict.fromkeys(COLLECTIONS, 0)
        self._timestamp = dict.fromkeys(COLLECTIONS, 0)
        self._failed: Counter[str] = Counter()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the clients."""
        channels = [arm.connect() for arm in self._arms]
        threads = []
        for arm, channel in zip(self._arms, channels, strict=True):
            work: list[Callable[[Any, Arm], None]] = [self._read_quickly, self._read_quickly, self._read_waiting]
            work += [self._write] if arm.writes else []
            work += [self._move] if arm.moves else []
            threads += [threading.Thread(target=each, args=(service(channel), arm)) for each in work]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
            for channel in channels:
                channel.close()
            self.recorded.failed = dict(self._failed)

    def _write(self, stub: Any, arm: Arm) -> None:
        for name in itertools.cycle(COLLECTIONS):
            if self._stop.wait(_WRITE_PAUSE):
                return
            with self._lock:
                number = next(self._numbers[name])
                write = Write(name, number // BLOCK, list(COLLECTIONS).index(name) * _KEYS + number)
                self.recorded.writes.append(write)
                self._newest[name] = write.block
            answer = self._call(stub.Insert, _insert(write), arm)
            if answer is not None:
                write.timestamp = answer[0].timestamp
                write.acknowledged = now()
                with self._lock:
                    self._timestamp[name] = max(self._timestamp[name], write.timestamp)

    def _move(self, stub: Any, arm: Arm) -> None:
        for name in itertools.cycle(reversed(COLLECTIONS)):
            if self._stop.wait(_MOVE_PAUSE):
                return
            move = Move(ALIAS, name, now())
            self.recorded.moves.append(move)
            if self._call(stub.AlterAlias, milvus_pb2.AlterAliasRequest(collection_name=name, alias=ALIAS), arm):
                move.acknowledged = now()

    def _read_quickly(self, stub: Any, arm: Arm) -> None:
        self._read(stub, arm, _QUICK)

    def _read_waiting(self, stub: Any, arm: Arm) -> None:
        self._read(stub, arm, _WAITING)

    def _read(self, stub: Any, arm: Arm, levels: tuple[Level, ...]) -> None:
        rng = random.Random(0)
        while not self._stop.wait(_READ_PAUSE):
            method, level = rng.choice(("Search", "Query")), rng.choice(levels)
            name = rng.choice((*COLLECTIONS, *COLLECTIONS, ALIAS))
            # By an alias that moves it may be a block of either.
            of = rng.choice(tuple(COLLECTIONS)) if name == ALIAS else name
            block = max(0, self._newest[of] - rng.randrange(2))
            guarantee = self._timestamp[of] if level in {Level.SESSION, Level.CUSTOMIZED} else 0
            request = _search(name, block) if method == "Search" else query_request(name, f"block == {block}", 0)
            _set_level(request, level, guarantee)
            sent = now()
            found = self._call(getattr(stub, method), request, arm)
            if found is None:
                continue
            answer, outcome = found
            keys = frozenset(_searched(answer) if method == "Search" else _queried(answer))
            read = Read(arm.name, method, name, block, level, guarantee, sent, now(), keys, outcome)
            self.recorded.reads.append(read)

    def _call(self, call: Any, request: Any, arm: Arm) -> tuple[Any, str] | None:
        """Return the answer and what ``kiteway-cache`` says; None without a good one."""
        try:
            answer, details = call.with_call(request, timeout=_READ_SECONDS)
        except grpc.RpcError:
            answer = None
        status = getattr(answer, "status", answer)
        if answer is None or status.code or status.error_code:
            with self._lock:
                self._failed[arm.name] += 1
            return None
        headers = dict(details.initial_metadata() or ())
        return answer, str(headers.get("kiteway-cache", "")).partition(";")[0]


def _insert(write: Write) -> Any:
    def integers(name: str, value: int) -> Any:
        scalars = schema_pb2.ScalarField(long_data=schema_pb2.LongArray(data=[value]))
        return schema_pb2.FieldData(type=schema_pb2.DataType.Int64, field_name=name, scalars=scalars)

    vector = schema_pb2.FloatArray(data=[float(write.key % 13)] * DIMENSION)
    vectors = schema_pb2.VectorField(dim=DIMENSION, float_vector=vector)
    return milvus_pb2.InsertRequest(
        collection_name=write.collection,
        num_rows=1,
        fields_data=[
            integers("id", write.key),
            integers("block", write.block),
            schema_pb2.FieldData(type=schema_pb2.DataType.FloatVector, field_name="vector", vectors=vectors),
        ],
    )


def _search(name: str, block: int) -> Any:
    request = search_request(name, 0)
    request.dsl = f"block == {block}"
    for pair in request.search_params:
        if pair.key == "topk":
            pair.value = str(2 * BLOCK)
    return request


def _set_level(request: Any, level: Level, guarantee: int) -> None:
    request.use_default_consistency = level is Level.DEFAULT
    request.consistency_level = max(level, 0)
    # As PyMilvus: 2 stands for Bounded, 1 for Eventually.
    request.guarantee_timestamp = {Level.BOUNDED: 2, Level.EVENTUALLY: 1}.get(level, guarantee)


def _searched(answer: Any) -> list[int]:
    return list(answer.results.ids.int_id.data)


def _queried(answer: Any) -> list[int]:
    return [key for found in answer.fields_data if found.field_name == "id" for key in found.scalars.long_data.data]
