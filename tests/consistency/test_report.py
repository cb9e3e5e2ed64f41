"""The summary of ``make check-consistency``."""

from __future__ import annotations

from tests.consistency.records import Level, Read, Recorded, Write
from tests.consistency.report import judge, reads, verdicts


def test_rows_by_arm_level_and_outcome() -> None:
    """Reads are counted by arm, level and what the cache says of them; only what breaks a promise is a violation."""
    recorded = Recorded({"a": Level.BOUNDED}, [Write("a", 0, 1, 10.0, 5)])

    def read(arm: str, level: Level, outcome: str = "") -> Read:
        return Read(arm, "Query", "a", 0, level, 0, 20.0, 20.1, frozenset(), outcome)

    recorded.reads = [read("x", Level.BOUNDED), read("x", Level.EVENTUALLY, "hit"), read("y", Level.EVENTUALLY)]
    rows = judge(recorded)
    assert {key: (row.reads, len(row.verdicts), row.behind) for key, row in rows.items()} == {
        ("x", "BOUNDED", ""): (1, 1, 10.0),
        ("x", "EVENTUALLY", "hit"): (1, 0, 10.0),
        ("y", "EVENTUALLY", ""): (1, 0, 10.0),
    }
    assert (reads(rows, "x"), len(verdicts(rows, "x")), len(verdicts(rows, "y"))) == (2, 1, 0)
