"""The collection of the benches with a real Milvus."""

from __future__ import annotations

import contextlib
import random

import pymilvus
from pymilvus.client.prepare import Prepare

COLLECTION = "bench"
DIMENSION = 128
_PORTION = 5000
"""The rows of one Insert."""


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


def _vector(chance: random.Random) -> list[float]:
    return [chance.random() for _ in range(DIMENSION)]
