"""Queries, searches and iterators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.lite.session import Session
from tests.lite.steps.data import KITES, vector


def queries(s: Session) -> None:
    """Queries."""
    c = s.client

    def query(text: str, **more: Any) -> None:
        shown = "".join(f", {name}={value!r}" for name, value in more.items())
        s.step(f"query({text!r}{shown})", lambda: c.query(KITES, text, **({"output_fields": ["id"]} | more)))

    query("id in [1, 2, 3]", output_fields=["id", "colour", "price"])
    query('colour == "red" and price > 20')
    query("price is null")
    query("price is not null and id < 5")
    query('colour like "g%"', limit=4)
    query("id >= 0", limit=3, offset=10)
    query("wind == 3", output_fields=["wind"])
    query('tags["maker"] == "m2"', limit=3)
    query('tags["size"]["w"] > 40')
    query('json_contains(tags["seen"], 12)')
    query("array_contains(marks, 12)", output_fields=["marks"])
    query("array_length(marks) == 0")
    query("marks[1] == 20")
    query("id in {wanted}", filter_params={"wanted": [4, 5, 6]})
    query("id == 9", output_fields=["*"])
    query("not (id < 56)")
    query("id % 10 == 0", limit=20)
    query("id =")
    query("nothing == 1")
    s.step("get([3, 1, 2])", lambda: c.get(KITES, [3, 1, 2], output_fields=["id"]))
    s.step("query(count(*)) with a filter", lambda: c.query(KITES, 'colour == "blue"', output_fields=["count(*)"]))
    s.step("get_collection_stats()", lambda: c.get_collection_stats(KITES))


def searches(s: Session) -> None:
    """Searches."""
    c = s.client

    def search(what: str, *numbers: int, **more: Any) -> None:
        s.step(
            f"search: {what}", lambda: c.search(KITES, [vector(n) for n in numbers or (4,)], **({"limit": 3} | more))
        )

    search("one vector")
    search("three vectors", 4, 9, 23)
    search("with a filter", filter='colour == "red"')
    search("with a filter and a template", filter="id > {low}", filter_params={"low": 40})
    search("with output fields", output_fields=["colour", "price", "tags"])
    search("with the vector", output_fields=["vector"], limit=1)
    search("with dynamic fields", output_fields=["wind"], limit=5)
    search("all fields", output_fields=["*"], limit=1)
    search("an offset", search_params={"offset": 2})
    search("in a range", search_params={"metric_type": "L2", "params": {"radius": 20.0, "range_filter": 1.0}}, limit=5)
    search("one of each group", group_by_field="colour")
    search("two of each group", group_by_field="colour", group_size=2, strict_group_size=True)
    search("rounded distances", round_decimal=1)
    search("by its field's name", anns_field="vector")
    search("another metric than the index", search_params={"metric_type": "COSINE"})
    search("no row matches", filter="id > 100000")
    search("a wrong filter", filter="id ~ 3")
    s.step("search: by a primary key", lambda: c.search(KITES, ids=[4], limit=3))
    s.step("search: a vector of another dimension", lambda: c.search(KITES, [[1.0, 2.0]], limit=1))
    s.step("search: limit=0", lambda: c.search(KITES, [vector(1)], limit=0))


def levels(s: Session) -> None:
    """Consistency levels."""
    c = s.client
    for level in ("Strong", "Session", "Bounded", "Eventually"):
        s.step(f"search at {level}", lambda at=level: c.search(KITES, [vector(11)], limit=2, consistency_level=at))  # type: ignore[misc]
    s.step("query at Strong", lambda: c.query(KITES, "id == 11", output_fields=["colour"], consistency_level="Strong"))
    s.step("upsert, then query at Session", lambda: _written(s, "Session"))
    s.step("upsert, then query at Strong", lambda: _written(s, "Strong"))
    for turn in ("first", "second", "third"):
        s.step(f"the same search, {turn} time", lambda: c.search(KITES, [vector(30)], limit=3))


def _written(s: Session, level: str) -> Any:
    s.client.upsert(KITES, {"id": 11, "colour": f"colour of {level}"}, partial_update=True)
    return s.client.query(KITES, "id == 11", output_fields=["colour"], consistency_level=level)


def iterators(s: Session) -> None:
    """Iterators."""
    c = s.client
    s.step(
        "query_iterator(batch_size=16)",
        lambda: _pages(lambda: c.query_iterator(KITES, batch_size=16, output_fields=["id"])),
    )
    s.step(
        "query_iterator(filter, limit=9)",
        lambda: _pages(lambda: c.query_iterator(KITES, batch_size=4, limit=9, filter="id > 20", output_fields=["id"])),
    )
    s.step(
        "search_iterator(batch_size=16)",
        lambda: _pages(lambda: c.search_iterator(KITES, [vector(3)], batch_size=16, limit=40)),
    )
    s.step(
        "search_iterator(filter)",
        lambda: _pages(
            lambda: c.search_iterator(KITES, [vector(3)], batch_size=5, limit=12, filter='colour == "blue"')
        ),
    )


def _pages(begin: Callable[[], Any]) -> list[list[int]]:
    """Read an iterator to its end; return the keys of each page."""
    iterator = begin()
    pages: list[list[int]] = []
    while page := iterator.next():
        pages.append([row["id"] for row in page])
    iterator.close()
    return pages
