"""The input and the result of a bench."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class BenchError(Exception):
    """A bench cannot measure; the message says what is missing or what failed."""


@dataclass(frozen=True)
class Context:
    """
    What every bench gets.

    Attributes:
        work: an empty folder for configurations and logs, removed at the end.
        programs: folders with programs to prefer over ``PATH``, by name (h2load, nginx, haproxy, nghttpd).
        rounds: how often each contestant is measured; at least 15 for a report that others should believe.
        block_seconds: about how long one contestant is measured at a time.
        rows: rows of the collection, where the bench has a large one.
        say: tells the user one line of progress.
    """

    work: Path
    programs: Mapping[str, Path]
    rounds: int
    block_seconds: float
    rows: int
    say: Callable[[str], None]


@dataclass(frozen=True)
class Table:
    """Rows of text under a heading; all but the first column are figures."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Bar:
    """One bar: its length, and the middle half of what was measured as its whisker."""

    label: str
    value: float
    low: float
    high: float
    ours: bool


@dataclass(frozen=True)
class Chart:
    """A group of bars in one unit."""

    title: str
    unit: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Outcome:
    """
    What a bench found.

    Attributes:
        title: the heading of its part of the report.
        text: paragraphs: how it was measured, and what to know when reading it.
        tables: the figures for people.
        charts: the picture.
        data: everything measured, for programs; JSON values only.
        missing: one sentence for each thing that should have been measured and was not.
    """

    title: str
    text: Sequence[str]
    tables: Sequence[Table]
    charts: Sequence[Chart]
    data: Mapping[str, Any]
    missing: Sequence[str] = field(default=())
