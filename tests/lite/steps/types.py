"""Types of fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymilvus import DataType

from tests.lite.session import Session
from tests.lite.steps.data import vector

_SHAPES = "shapes"


def vectors(s: Session) -> None:
    """Kinds of vectors."""
    c = s.client
    for kind in (DataType.FLOAT16_VECTOR, DataType.BFLOAT16_VECTOR, DataType.BINARY_VECTOR, DataType.INT8_VECTOR):
        s.step(f"create_collection() with a {kind.name}", lambda kind=kind: _with_vector(s, kind))  # type: ignore[misc]
    data = [{n: 1.0, 10 + n: 0.5} for n in range(6)]
    s.step("create_collection() with a SPARSE_FLOAT_VECTOR", lambda: _with_vector(s, DataType.SPARSE_FLOAT_VECTOR))
    s.step(
        "insert() of sparse vectors", lambda: c.insert(_SHAPES, [{"id": n, "v": each} for n, each in enumerate(data)])
    )
    s.step("search by a sparse vector", lambda: c.search(_SHAPES, [data[3]], "", 2, ["v"], anns_field="v"))
    s.step("query() of sparse vectors", lambda: c.query(_SHAPES, "id < 2", output_fields=["v"]))
    s.step("drop_collection()", lambda: c.drop_collection(_SHAPES))


def _with_vector(s: Session, kind: DataType) -> None:
    c = s.client
    schema = c.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    sparse = kind is DataType.SPARSE_FLOAT_VECTOR
    schema.add_field("v", kind, **({} if sparse else {"dim": 8}))
    index = c.prepare_index_params()
    index.add_index("v", index_type="SPARSE_INVERTED_INDEX" if sparse else "AUTOINDEX", metric_type="IP")
    c.create_collection(_SHAPES, schema=schema, index_params=index)


def json_and_arrays(s: Session) -> None:
    """JSON and arrays."""
    c = s.client

    def create() -> None:
        schema = c.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("v", DataType.FLOAT_VECTOR, dim=4)
        schema.add_field("doc", DataType.JSON, nullable=True)
        schema.add_field(
            "words", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=5, max_length=20, nullable=True
        )
        schema.add_field("small", DataType.INT8)
        schema.add_field("right", DataType.BOOL)
        schema.add_field("share", DataType.FLOAT)
        index = c.prepare_index_params()
        index.add_index("v", index_type="AUTOINDEX", metric_type="COSINE")
        c.create_collection(_SHAPES, schema=schema, index_params=index)

    rows: list[dict[str, Any]] = [
        {
            "id": 0,
            "doc": {"a": 1, "b": [1, 2], "c": {"d": "é"}},
            "words": ["x", "y"],
            "small": -3,
            "right": True,
            "share": 0.25,
        },
        {"id": 1, "doc": [1, "two", None], "words": [], "small": 127, "right": False, "share": 1e-9},
        {"id": 2, "doc": {"text": 'a "quoted" one'}, "words": None, "small": 0, "right": True, "share": 3.5},
        {"id": 3, "doc": None, "words": ["风筝", "z"], "small": 1, "right": False, "share": -1.0},
    ]
    fields = ["doc", "words", "small", "right", "share"]
    s.step("create_collection() with JSON, arrays and small numbers", create)
    s.step("insert()", lambda: c.insert(_SHAPES, [row | {"v": vector(n + 1, 4)} for n, row in enumerate(rows)]))
    s.step("query() of all fields", lambda: c.query(_SHAPES, "id >= 0", output_fields=fields))
    s.step("query(a path in JSON)", lambda: c.query(_SHAPES, 'doc["c"]["d"] == "é"', output_fields=["id"]))
    s.step("query(exists)", lambda: c.query(_SHAPES, 'exists doc["a"]', output_fields=["id"]))
    s.step(
        "query(json_contains_any)",
        lambda: c.query(_SHAPES, 'json_contains_any(doc["b"], [2, 9])', output_fields=["id"]),
    )
    s.step(
        "query(array_contains_all)",
        lambda: c.query(_SHAPES, 'array_contains_all(words, ["x", "y"])', output_fields=["id"]),
    )
    s.step(
        "query(array_contains of a text beyond ASCII)",
        lambda: c.query(_SHAPES, 'array_contains(words, "风筝")', output_fields=["id"]),
    )
    s.step("query(a flag)", lambda: c.query(_SHAPES, "right == true and small < 1", output_fields=["id"]))
    s.step("search at COSINE", lambda: c.search(_SHAPES, [vector(2, 4)], limit=4, output_fields=["share"]))
    s.step("drop_collection()", lambda: c.drop_collection(_SHAPES))


def geometry(s: Session) -> None:
    """Geometry."""
    c = s.client
    places = ["POINT (1 1)", "POINT (5 5)", "POINT (2.5 2)", None]
    line = {"id": 8, "v": vector(8, 4), "f": "LINESTRING (0 0, 2 2)"}
    s.step("create_collection() with a GEOMETRY", lambda: _with_field(s, DataType.GEOMETRY))
    s.step("insert() of points", lambda: c.insert(_SHAPES, _rows(places)))
    s.step("insert() of a line", lambda: c.insert(_SHAPES, line))
    s.step("query() of all", lambda: c.query(_SHAPES, "id >= 0", output_fields=["f"]))
    square = "POLYGON ((0 0, 3 0, 3 3, 0 3, 0 0))"
    s.step("query(ST_WITHIN)", lambda: c.query(_SHAPES, f"ST_WITHIN(f, '{square}')", output_fields=["id"]))
    s.step("query(ST_INTERSECTS)", lambda: c.query(_SHAPES, f"ST_INTERSECTS(f, '{square}')", output_fields=["id"]))
    s.step(
        "search(ST_INTERSECTS)",
        lambda: c.search(_SHAPES, [vector(1, 4)], limit=5, filter="ST_INTERSECTS(f, 'POINT (1 1)')"),
    )
    s.step(
        "insert() of a text that is no geometry", lambda: c.insert(_SHAPES, {"id": 9, "v": vector(9, 4), "f": "POINT"})
    )
    s.step("drop_collection()", lambda: c.drop_collection(_SHAPES))


def timestamps(s: Session) -> None:
    """Timestamps."""
    c = s.client
    times = ["2026-01-01T00:00:00Z", "2026-06-01T12:00:00+08:00", "2025-12-31T23:59:59Z", None]
    s.step("create_collection() with a TIMESTAMPTZ", lambda: _with_field(s, DataType.TIMESTAMPTZ))
    s.step("insert() of timestamps with zones", lambda: c.insert(_SHAPES, _rows(times)))
    s.step("query() of all", lambda: c.query(_SHAPES, "id >= 0", output_fields=["f"]))
    s.step(
        "query() in another zone", lambda: c.query(_SHAPES, "id >= 0", output_fields=["f"], timezone="Asia/Shanghai")
    )
    s.step("query(later than)", lambda: c.query(_SHAPES, "f > ISO '2026-01-01T00:00:00Z'", output_fields=["id"]))
    s.step(
        "query(with an interval)",
        lambda: c.query(_SHAPES, "f + INTERVAL 'P1D' > ISO '2026-01-01T12:00:00Z'", output_fields=["id"]),
    )
    s.step("search() with a timestamp", lambda: c.search(_SHAPES, [vector(1, 4)], limit=4, output_fields=["f"]))
    s.step("insert() of a text that is no time", lambda: c.insert(_SHAPES, {"id": 9, "v": vector(9, 4), "f": "noon"}))
    s.step("drop_collection()", lambda: c.drop_collection(_SHAPES))


def _with_field(s: Session, kind: DataType) -> None:
    c = s.client
    schema = c.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=4)
    schema.add_field("f", kind, nullable=True)
    index = c.prepare_index_params()
    index.add_index("v", index_type="FLAT", metric_type="L2")
    c.create_collection(_SHAPES, schema=schema, index_params=index)


def _rows(values: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"id": n, "v": vector(n, 4), "f": value} for n, value in enumerate(values)]
