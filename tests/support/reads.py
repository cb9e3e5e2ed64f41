"""Steady reads by raw gRPC, with every client-side retry off, so that a failed call is seen as one."""

from __future__ import annotations

import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, cast

import grpc
from pymilvus import DataType, MilvusClient
from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc

DIMENSION = 8
BOUNDED = 2


def channel(address: str, ca: Path | None, server_name: str | None, *, retries: bool = False) -> grpc.Channel:
    """
    Return a channel as PyMilvus makes one, but without retries.

    With ``retries`` it is PyMilvus's own: gRPC sends again what no server has seen, such as a call that meets a GOAWAY.
    """
    options: list[tuple[str, Any]] = [
        ("grpc.enable_retries", int(retries)),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if server_name:
        options.append(("grpc.ssl_target_name_override", server_name))
    if ca is None:
        return grpc.insecure_channel(address, options)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca.read_bytes()), options)


def service(connection: grpc.Channel) -> Any:
    """Return the stub of Milvus's service; PyMilvus's generated code has no types."""
    return cast("Any", milvus_pb2_grpc).MilvusServiceStub(connection)


def fill(uri: str, ca: Path, server_name: str, collection: str) -> None:
    """Create a loaded collection with a few vectors."""
    _fill(MilvusClient(uri, server_pem_path=str(ca), server_name=server_name), collection)


def fill_plaintext(port: int, collection: str) -> None:
    """Do `fill` at a port of this machine, without TLS."""
    _fill(MilvusClient(f"http://127.0.0.1:{port}"), collection)


def _fill(client: MilvusClient, collection: str) -> None:
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection(collection, schema=schema, index_params=index)
    client.insert(collection, [{"id": i, "vector": [float((i + j) % 13) for j in range(DIMENSION)]} for i in range(50)])
    client.load_collection(collection)
    client.close()


def search_request(collection: str, number: int) -> Any:
    """Return a Search at Bounded for one vector, as PyMilvus sends it."""
    vector = [float((number * 7 + i) % 13) for i in range(DIMENSION)]
    group = common_pb2.PlaceholderGroup(
        placeholders=[common_pb2.PlaceholderValue(tag="$0", type=101, values=[struct.pack(f"<{DIMENSION}f", *vector)])]
    )
    pairs = {"anns_field": "vector", "topk": "3", "metric_type": "L2", "params": "{}", "round_decimal": "-1"}
    return milvus_pb2.SearchRequest(
        collection_name=collection,
        placeholder_group=group.SerializeToString(),
        dsl_type=common_pb2.BoolExprV1,
        search_params=[common_pb2.KeyValuePair(key=k, value=v) for k, v in pairs.items()],
        nq=1,
        guarantee_timestamp=2,
        consistency_level=BOUNDED,
    )


class SteadyReads:
    """
    One client that searches all the time, on one connection, until the end of the ``with``.

    ``ok`` and ``failures`` (by text) count answers; an answer whose in-band status is an error is a failure.
    """

    def __init__(
        self, address: str, ca: Path | None, server_name: str | None, collection: str, *, retries: bool = False
    ) -> None:
        self.ok = 0
        self.failures: Counter[str] = Counter()
        self._make: Callable[[], grpc.Channel] = lambda: channel(address, ca, server_name, retries=retries)
        self._collection = collection
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait_for(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def wait_for(self, more: int, limit: float = 60.0) -> None:
        """Wait until ``more`` further calls have been answered."""
        wanted = self.ok + sum(self.failures.values()) + more
        deadline = time.monotonic() + limit
        while self.ok + sum(self.failures.values()) < wanted:
            assert time.monotonic() < deadline, f"no {more} answers in {limit} s: {self.ok} ok, {self.failures}"
            time.sleep(0.01)

    def _run(self) -> None:
        with self._make() as connection:
            stub = service(connection)
            number = 0
            while not self._stop.is_set():
                number += 1
                try:
                    answer = stub.Search(search_request(self._collection, number), timeout=20)
                except grpc.RpcError as error:
                    self.failures[f"{error.code()}: {error.details()}"] += 1
                else:
                    if answer.status.code or answer.status.error_code:
                        self.failures[f"in-band {answer.status.code}: {answer.status.reason}"] += 1
                    else:
                        self.ok += 1
