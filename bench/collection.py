"""The collection of the benches with a real Milvus."""

from __future__ import annotations

import array
import contextlib
import random
from typing import Any

import pymilvus
from pymilvus.client.prepare import Prepare
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

COLLECTION = "bench"
DIMENSION = 128
_PORTION = 5000
"""The rows of one Insert."""
_QUESTIONS = 200_000


def fill(client: pymilvus.MilvusClient, rows: int) -> None:
    """Make the collection with its index and so many rows, load it, and close the client."""
    with contextlib.closing(client):
        schema = client.create_schema()
        schema.add_field("id", pymilvus.DataType.INT64, is_primary=True)
        schema.add_field("vector", pymilvus.DataType.FLOAT_VECTOR, dim=DIMENSION)
        index = client.prepare_index_params()
        index.add_index("vector", index_type="HNSW", metric_type="L2", params={"M": 16, "efConstruction": 100})
        chance = random.Random(0)
        client.create_collection(COLLECTION, schema=schema)
        for start in range(0, rows, _PORTION):
            portion = range(start, min(start + _PORTION, rows))
            client.insert(COLLECTION, [{"id": number, "vector": _vector(chance)} for number in portion])
        client.flush(COLLECTION)
        client.create_index(COLLECTION, index)
        client.load_collection(COLLECTION)


def search_message(vectors: int, limit: int, *, seed: int) -> bytes:
    """Return a SearchRequest for the nearest rows of random vectors, as PyMilvus sends it (Bounded)."""
    chance = random.Random(seed)
    message = Prepare.search_requests_with_expr(
        COLLECTION,
        anns_field="vector",
        param={"metric_type": "L2", "params": {"ef": max(limit, 32)}},
        limit=limit,
        data=[_vector(chance) for _ in range(vectors)],
        consistency_level="Bounded",
    )
    return bytes(message.SerializeToString())


class Questions:
    """Searches for the nearest rows of one vector each, at the collection's own level, by number."""

    def __init__(self, limit: int) -> None:
        message: Any = milvus_pb2.SearchRequest.FromString(search_message(1, limit, seed=1))
        message.use_default_consistency = True
        group = common_pb2.PlaceholderGroup.FromString(message.placeholder_group)
        parts: list[bytes] = message.SerializeToString().split(group.placeholders[0].values[0])
        self._before, self._after = parts
        chance = random.Random(0)
        self._floats = array.array("f", (chance.random() for _ in range(_QUESTIONS + DIMENSION))).tobytes()

    def __getitem__(self, number: int) -> bytes:
        """Return the request with this number; as many differ as `_QUESTIONS`."""
        start = number % _QUESTIONS * 4
        return self._before + self._floats[start : start + DIMENSION * 4] + self._after


def insert_message(number: int) -> bytes:
    """Return an InsertRequest for one row."""
    request: Any = milvus_pb2.InsertRequest(collection_name=COLLECTION, num_rows=1)
    key = request.fields_data.add(field_name="id", type=schema_pb2.DataType.Int64)
    key.scalars.long_data.data.append(number)
    vector = request.fields_data.add(field_name="vector", type=schema_pb2.DataType.FloatVector)
    vector.vectors.dim = DIMENSION
    vector.vectors.float_vector.data.extend(_vector(random.Random(number)))
    return bytes(request.SerializeToString())


def _vector(chance: random.Random) -> list[float]:
    return [chance.random() for _ in range(DIMENSION)]
