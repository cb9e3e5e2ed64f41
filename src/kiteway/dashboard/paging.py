"""Filters, sorts and cuts a table, so that a browser gets a page of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec

PAGE_ROWS: Final = 50
"""Rows of a page."""
_FILTER_MOST = 200
"""Characters of a filter."""

Row = TypeVar("Row")


class Page(msgspec.Struct, Generic[Row], frozen=True, kw_only=True):
    """
    A page of a table.

    Attributes:
        total: rows of the table.
        found: rows that the filter leaves.
        page: the number of this page, from 1.
        pages: the number of pages; 1 at least.
        rows: the rows of this page.
    """

    total: int
    found: int
    page: int
    pages: int
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Ask:
    """
    What a browser wants of a table.

    Attributes:
        text: a part of a name, in any case; empty for all rows.
        only: the value of the table's main property, for example a state of health; empty for all rows.
        sort: the name of a column; empty for the table's own order.
        descending: whether the largest comes first.
        page: the number of the page, from 1.
    """

    text: str = ""
    only: str = ""
    sort: str = ""
    descending: bool = False
    page: int = 1

    @classmethod
    def of_query(cls, query: Mapping[str, str]) -> Ask:
        """Read it from a query; a page that is no number is the first."""
        number = query.get("page", "1")
        return cls(
            text=query.get("q", "")[:_FILTER_MOST].casefold(),
            only=query.get("only", "")[:_FILTER_MOST],
            sort=query.get("sort", ""),
            descending=query.get("order") == "desc",
            page=int(number) if number.isascii() and number.isdecimal() and len(number) < 8 else 1,
        )


@dataclass(frozen=True, slots=True)
class Table(Generic[Row]):
    """
    What a table can be asked for.

    Attributes:
        text: returns the text of a row in which a filter is found.
        only: returns the main property of a row.
        columns: the columns by which it can be sorted; rows without a value (None) are the last.
    """

    text: Callable[[Row], str]
    columns: Mapping[str, Callable[[Row], Any]]
    only: Callable[[Row], str] = lambda _: ""

    def page(self, rows: Iterable[Row], ask: Ask) -> Page[Row]:
        """Return the page that is asked for; after the last page that is the last page."""
        everything = list(rows)
        found = [
            row
            for row in everything
            if (not ask.only or self.only(row) == ask.only) and (not ask.text or ask.text in self.text(row).casefold())
        ]
        if (value := self.columns.get(ask.sort)) is not None:
            known = [row for row in found if value(row) is not None]
            unknown = [row for row in found if value(row) is None]
            found = sorted(known, key=value, reverse=ask.descending) + unknown
        pages = max(1, -(-len(found) // PAGE_ROWS))
        page = min(max(1, ask.page), pages)
        rows_of_page = found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
        return Page(total=len(everything), found=len(found), page=page, pages=pages, rows=rows_of_page)
