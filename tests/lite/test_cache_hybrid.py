"""A HybridSearch through the cache, which Milvus 2.3.5 does not have: on Milvus Lite 3.2.2, at the level Eventually."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from pymilvus import AnnSearchRequest, DataType, MilvusClient, RRFRanker

from kiteway.filter import filter_path, missing_reason
from tests.lite.session import Place
from tests.lite.site import EVERYTHING, site
from tests.support.kiteway import Running, wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.lite,
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]

_BOOKS = "hybrid_books"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Place, Running]]:
    """Run Milvus Lite, and Kiteway with a cache before it."""
    with site() as found, found.kiteway("kiteway", {"cache": EVERYTHING["cache"]}) as running:
        yield running


def _connect(place: Place) -> MilvusClient:
    return MilvusClient(place.uri, server_pem_path=place.ca, server_name=place.server_name, dedicated=True)


def _fill(client: MilvusClient) -> None:
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    index = client.prepare_index_params()
    for field in ("one", "two"):
        schema.add_field(field, DataType.FLOAT_VECTOR, dim=2)
        index.add_index(field, index_type="FLAT", metric_type="L2")
    client.create_collection(_BOOKS, schema=schema, index_params=index)
    client.insert(
        _BOOKS, [{"id": number, "one": [float(number), 1.0], "two": [1.0, float(number)]} for number in range(9)]
    )


def _hybrid(client: MilvusClient, number: int) -> list[int]:
    vector = [float(number), float(number)]
    requests = [AnnSearchRequest([vector], field, {"metric_type": "L2"}, limit=4) for field in ("one", "two")]
    found: Any = client.hybrid_search(_BOOKS, requests, RRFRanker(), 4, consistency_level="Eventually")
    return [int(hit["id"]) for hit in found[0]]


def _outcomes(running: Running) -> Counter[str]:
    log = running.instance.log_dir / "access.log"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return Counter(str(line["cache"]) for line in lines if line["path"].endswith("/HybridSearch"))


def test_the_same_hybrid_search_hits_and_another_one_does_not(served: tuple[Place, Running]) -> None:
    """The rows are the same as before the hit."""
    place, running = served
    with closing(_connect(place)) as client:
        _fill(client)
        wait_until(lambda: len(_hybrid(client, 1)) == 4, "the rows are there")

        def is_kept() -> bool:
            _hybrid(client, 2)
            return _outcomes(running)["hit"] > 0

        wait_until(is_kept, "a hybrid search hits", 15)
        expected = _hybrid(client, 2)
        assert expected[0] == 2
        assert _hybrid(client, 7)[0] == 7
        assert _hybrid(client, 2) == expected
