"""Rows: insert, upsert, delete."""

from __future__ import annotations

from pymilvus import DataType, MilvusClient

from tests.lite.session import Session
from tests.lite.steps.data import KITES, kite, vector

ROWS = 60


def rows(s: Session) -> None:
    """Inserts."""
    c = s.client
    s.step(
        "insert() of 60 rows, nulls and dynamic fields",
        lambda: c.insert(KITES, [kite(n) for n in range(ROWS)])["insert_count"],
    )
    s.step("insert() with the default value", lambda: c.insert(KITES, {"id": 60, "vector": vector(60), "marks": []}))
    s.step("get() of that row", lambda: c.get(KITES, 60, output_fields=["colour", "price", "tags", "marks"]))
    s.step(
        "insert() of a vector of another dimension", lambda: c.insert(KITES, {"id": 61, "vector": [1.0], "marks": []})
    )
    s.step("insert() without a field", lambda: c.insert(KITES, {"id": 61, "vector": vector(61)}))
    s.step("insert() into none", lambda: c.insert("nowhere", {"id": 1}))
    s.step(
        "create_collection('counted', auto_id=True)", lambda: c.create_collection("counted", dimension=4, auto_id=True)
    )
    s.step(
        "insert() with auto_id",
        lambda: c.insert("counted", [{"vector": vector(n, 4)} for n in range(3)])["insert_count"],
    )
    s.step("query(count(*)) of it", lambda: c.query("counted", output_fields=["count(*)"]))
    s.step("drop_collection('counted')", lambda: c.drop_collection("counted"))
    s.step("create_collection('named'), keys are strings", lambda: _named(c))
    s.step(
        "insert() with keys that are strings",
        lambda: c.insert("named", [{"name": f"k{n}", "vector": vector(n, 4)} for n in range(4)]),
    )
    s.step("get() by a string", lambda: c.get("named", ["k2"], output_fields=["name"]))
    s.step("delete() by a string", lambda: c.delete("named", ids=["k1", "k2"]))
    s.step("query() of what is left", lambda: c.query("named", 'name like "k%"', output_fields=["name"]))
    s.step("drop_collection('named')", lambda: c.drop_collection("named"))


def _named(client: MilvusClient) -> None:
    schema = client.create_schema(auto_id=False)
    schema.add_field("name", DataType.VARCHAR, is_primary=True, max_length=30)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=4)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="IP")
    client.create_collection("named", schema=schema, index_params=index)


def updates(s: Session) -> None:
    """Upserts and deletes."""
    c = s.client
    s.step("upsert() of a whole row", lambda: c.upsert(KITES, kite(7) | {"colour": "gold"}))
    s.step("get() of it", lambda: c.get(KITES, 7, output_fields=["colour", "price"]))
    s.step(
        "upsert(partial_update=True) of one field",
        lambda: c.upsert(KITES, {"id": 8, "colour": "silver"}, partial_update=True),
    )
    s.step(
        "get() of it, the other fields unchanged",
        lambda: c.get(KITES, 8, output_fields=["colour", "price", "marks", "vector"]),
    )
    s.step("upsert() of a new row", lambda: c.upsert(KITES, kite(70)))
    s.step("delete(ids)", lambda: c.delete(KITES, ids=[50, 51]))
    s.step("delete(filter)", lambda: c.delete(KITES, filter="id >= 58 and id < 60"))
    s.step(
        "delete(filter with a template)",
        lambda: c.delete(KITES, filter="id in {gone}", filter_params={"gone": [52, 53]}),
    )
    s.step("delete() of no row", lambda: c.delete(KITES, filter="id == 12345"))
    s.step("query(count(*)) after it", lambda: c.query(KITES, output_fields=["count(*)"]))
    s.step(
        "query() of the deleted rows", lambda: c.query(KITES, "id in [50, 51, 52, 53, 58, 59]", output_fields=["id"])
    )
