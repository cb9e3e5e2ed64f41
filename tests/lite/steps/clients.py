"""PyMilvus's other two clients: the ORM, which the guide uses, and the asynchronous one."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from typing import Any

from pymilvus import AsyncMilvusClient, Collection, CollectionSchema, DataType, FieldSchema, connections, utility

from tests.lite.session import Session
from tests.lite.steps.data import vector

_ALIAS = "session"
_NAME = "planes"


def orm(s: Session) -> None:
    """The ORM: connections.connect and Collection."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trust = {"server_pem_path": s.place.ca, "server_name": s.place.server_name}
        s.step("connections.connect()", lambda: connections.connect(_ALIAS, uri=s.place.uri, **trust))
        s.step("utility.list_collections()", lambda: utility.list_collections(using=_ALIAS))
        s.step("Collection() makes one", lambda: _collection().name)
        s.step(
            "Collection.insert() by columns",
            lambda: _collection().insert([[1, 2, 3], [vector(n, 4) for n in range(3)]]).insert_count,
        )
        s.step(
            "Collection.create_index()",
            lambda: _collection().create_index("v", {"index_type": "FLAT", "metric_type": "L2"}).code,
        )
        s.step("Collection.load()", lambda: _collection().load())
        s.step("Collection.search()", lambda: [hit.id for hit in _collection().search([vector(1, 4)], "v", {}, 2)[0]])
        s.step("Collection.query()", lambda: _collection().query("id > 1"))
        s.step("Collection.num_entities", lambda: _collection().num_entities)
        s.step("Collection.drop()", lambda: _collection().drop())
        connections.remove_connection(_ALIAS)


def _collection() -> Any:
    fields = [FieldSchema("id", DataType.INT64, is_primary=True), FieldSchema("v", DataType.FLOAT_VECTOR, dim=4)]
    return Collection(_NAME, CollectionSchema(fields), using=_ALIAS)


def asynchronous(s: Session) -> None:
    """AsyncMilvusClient."""
    with asyncio.Runner() as runner:
        client: Any = runner.run(_connected(s))

        def step(call: str, work: Callable[[], Any]) -> None:
            s.step(call, lambda: runner.run(work()))

        step("create_collection()", lambda: client.create_collection(_NAME, dimension=4, metric_type="L2"))
        step("insert()", lambda: client.insert(_NAME, [{"id": n, "vector": vector(n, 4)} for n in range(10)]))
        step("ten searches at once", lambda: _at_once(client))
        step("query()", lambda: client.query(_NAME, "id in [2, 5]", output_fields=["id"]))
        step("upsert()", lambda: client.upsert(_NAME, {"id": 2, "vector": vector(5, 4)}))
        step("delete()", lambda: client.delete(_NAME, ids=[5]))
        step("query() after it", lambda: client.query(_NAME, "id in [2, 5]", output_fields=["vector"]))
        step("drop_collection()", lambda: client.drop_collection(_NAME))
        runner.run(client.close())


async def _connected(s: Session) -> Any:
    return AsyncMilvusClient(s.place.uri, server_pem_path=s.place.ca, server_name=s.place.server_name)


async def _at_once(client: Any) -> list[int]:
    found = await asyncio.gather(*(client.search(_NAME, [vector(n, 4)], limit=1) for n in range(10)))
    return [hits[0][0]["id"] for hits in found]
