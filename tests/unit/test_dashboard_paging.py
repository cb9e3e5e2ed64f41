"""The pages of the web page's tables."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from kiteway.dashboard.paging import PAGE_ROWS, Ask, Table


class Row(NamedTuple):
    """A row."""

    name: str
    state: str = "good"
    time: float | None = None


TABLE: Table[Row] = Table(
    text=lambda row: row.name,
    only=lambda row: row.state,
    columns={"name": lambda row: row.name, "time": lambda row: row.time},
)
MANY = [Row(f"row-{number:04}") for number in range(10 * PAGE_ROWS + 1)]


def test_a_page_is_a_part_of_the_table() -> None:
    """The last page has the rest, and a page after it is the last."""
    second = TABLE.page(MANY, Ask(page=2))
    assert (second.total, second.found, second.page, second.pages) == (501, 501, 2, 11)
    assert second.rows == MANY[PAGE_ROWS : 2 * PAGE_ROWS]
    assert TABLE.page(MANY, Ask(page=99)).rows == MANY[-1:]
    assert TABLE.page([], Ask(page=3)).pages == 1


def test_a_filter_finds_a_part_of_a_name_in_any_case() -> None:
    """And the main property as a whole."""
    assert [row.name for row in TABLE.page(MANY, Ask.of_query({"q": "ROW-0499"})).rows] == ["row-0499"]
    rows = [Row("a"), Row("b", "bad"), Row("ab", "bad")]
    assert TABLE.page(rows, Ask(text="a", only="bad")).rows == [rows[2]]
    assert TABLE.page(rows, Ask(only="ba")).found == 0


@pytest.mark.parametrize(("descending", "expected"), [(False, ["b", "c", "a"]), (True, ["c", "b", "a"])])
def test_rows_without_a_value_are_the_last(descending: bool, expected: list[str]) -> None:  # noqa: FBT001
    """In both directions."""
    rows = [Row("a"), Row("b", time=1), Row("c", time=2)]
    assert [row.name for row in TABLE.page(rows, Ask(sort="time", descending=descending)).rows] == expected


@pytest.mark.parametrize("number", ["", "-1", "x", "9" * 400, "1.5", "\u0663"])
def test_a_page_that_is_no_number_is_the_first(number: str) -> None:
    """A query is a client's."""
    assert TABLE.page(MANY, Ask.of_query({"page": number, "sort": "__class__", "order": "desc"})).page == 1
