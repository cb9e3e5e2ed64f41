"""The summary of ``make check-consistency``."""

from __future__ import annotations

from tests.consistency.records import Change, Level, Question, Read, Recorded, Write
from tests.consistency.report import judge, late_in_milvus, reads, verdicts


def test_rows_by_arm_level_and_outcome() -> None:
    """Reads are counted by arm, level and what the cache says of them; only what breaks a promise is a violation."""
    recorded = Recorded({"a": Level.BOUNDED}, [Write("a", 0, 1, 10.0, 5)])

    def read(arm: str, level: Level, outcome: str = "") -> Read:
        question = Question(arm, "root", "a", "Query", "block == 0")
        return Read(question, 0, level, 0, 20.0, 20.1, frozenset(), outcome)

    recorded.reads = [read("x", Level.BOUNDED), read("x", Level.EVENTUALLY, "bypass"), read("y", Level.EVENTUALLY)]
    rows = judge(recorded)
    assert {key: (row.reads, len(row.verdicts), row.behind) for key, row in rows.items()} == {
        ("x", "BOUNDED", ""): (1, 1, 10.0),
        ("x", "EVENTUALLY", "bypass"): (1, 0, 10.0),
        ("y", "EVENTUALLY", ""): (1, 0, 10.0),
    }
    assert (reads(rows, "x"), reads(rows, "x", "bypass")) == (2, 1)
    assert (len(verdicts(rows, "x")), len(verdicts(rows, "y"))) == (1, 0)


def test_what_milvus_itself_answers_late_is_counted_apart() -> None:
    """A forwarded read with what the name stood for before is no violation."""
    recorded = Recorded({"a": Level.BOUNDED, "b": Level.BOUNDED}, [Write("a", 0, 1, 2.0), Write("b", 0, 2, 2.0)])
    recorded.changes = [Change("x", "a", 0.0, 0.0), Change("x", "b", 10.0, 10.1)]
    question = Question("arm", "root", "x", "Query", "block == 0")
    recorded.reads = [Read(question, 0, Level.EVENTUALLY, 0, 20.0, 20.1, frozenset({1}))]
    rows = judge(recorded)
    assert verdicts(rows, "arm") == []
    assert len(late_in_milvus(rows, "arm")) == 1
