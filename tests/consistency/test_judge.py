"""The judge of ``make check-consistency``, on histories made by hand."""

from __future__ import annotations

import pytest

from tests.consistency.judge import Judge
from tests.consistency.records import Level, Move, Read, Recorded, Write


def _judge(*writes: Write, moves: tuple[Move, ...] = ()) -> Judge:
    return Judge(Recorded({"a": Level.BOUNDED, "b": Level.STRONG}, list(writes), list(moves)))


def _read(level: Level, *keys: int, name: str = "a", guarantee: int = 0, sent: float = 100.0) -> Read:
    return Read("arm", "Query", name, 0, level, guarantee, sent, sent + 0.1, frozenset(keys))


@pytest.mark.parametrize(
    ("level", "acknowledged", "bad"),
    [
        (Level.STRONG, 99.99, True),
        (Level.STRONG, 100.0, False),
        (Level.BOUNDED, 94.9, True),
        (Level.BOUNDED, 95.0, False),
        (Level.DEFAULT, 94.9, True),
        (Level.DEFAULT, 95.1, False),
        (Level.EVENTUALLY, 1.0, False),
        (Level.SESSION, 1.0, False),
    ],
)
def test_a_missed_write_violates_only_a_level_that_promises_it(level: Level, acknowledged: float, bad: bool) -> None:  # noqa: FBT001
    """A read without a write is a violation exactly if its level promises the write at its age."""
    verdict = _judge(Write("a", 0, 1, acknowledged, 7)).verdict(_read(level))
    assert (verdict is not None) is bad
    assert verdict is None or verdict.missed == (1,)


@pytest.mark.parametrize("level", [Level.SESSION, Level.CUSTOMIZED])
def test_every_write_up_to_the_guarantee(level: Level) -> None:
    """Session and Customized reads have every write with a timestamp up to their guarantee, and may lack later ones."""
    judge = _judge(Write("a", 0, 1, 99.0, 10), Write("a", 0, 2, 99.5, 20))
    assert judge.verdict(_read(level, guarantee=9)) is None
    assert judge.verdict(_read(level, 1, guarantee=10)) is None
    found = judge.verdict(_read(level, guarantee=20))
    assert found is not None
    assert found.missed == (1, 2)


def test_default_of_the_collection() -> None:
    """The default level is that of the collection that the read names."""
    judge = _judge(Write("b", 0, 1, 99.0, 10))
    found = judge.verdict(_read(Level.DEFAULT, name="b"))
    assert found is not None
    assert found.late == pytest.approx(1.0)
    assert judge.behind(_read(Level.EVENTUALLY, name="b")) == pytest.approx(1.0)


def test_a_write_without_an_answer_may_be_there_or_not() -> None:
    """An Insert without a good answer may be missing, and its row is not a foreign one."""
    judge = _judge(Write("a", 0, 1))
    assert judge.verdict(_read(Level.STRONG)) is None
    assert judge.verdict(_read(Level.STRONG, 1)) is None


def test_rows_of_elsewhere() -> None:
    """A row of another collection, of another block, or that no client wrote is found."""
    judge = _judge(Write("b", 0, 1, 1.0), Write("a", 1, 2, 1.0))
    for key in (1, 2, 3):
        found = judge.verdict(_read(Level.EVENTUALLY, key))
        assert found is not None
        assert found.foreign == (key,)


def test_an_alias_that_moves() -> None:
    """From 1 s after the answer an alias means the new collection only; before that, either collection."""
    moves = (Move("x", "a", 1.0, 1.1), Move("x", "b", 50.0, 50.5))
    judge = _judge(Write("a", 0, 1, 2.0), Write("b", 0, 2, 2.0), moves=moves)
    old, new = _read(Level.BOUNDED, 1, name="x"), _read(Level.BOUNDED, 2, name="x")

    def at(read: Read, sent: float) -> bool:
        return judge.verdict(_read(read.level, *read.keys, name="x", sent=sent)) is None

    assert at(old, 49.0)
    assert not at(new, 49.0)
    assert at(old, 51.4)
    assert at(new, 49.95)
    assert not at(old, 51.6)
    assert at(new, 51.6)
    found = judge.verdict(_read(Level.BOUNDED, 1, name="x", sent=52.5))
    assert found is not None
    assert found.former
    assert found.late == pytest.approx(2.0)
    # What neither collection could have answered is not the alias's fault.
    stranger = judge.verdict(_read(Level.BOUNDED, 1, 2, name="x", sent=52.5))
    assert stranger is not None
    assert stranger.foreign == (1,)


def test_a_move_without_an_answer_leaves_both_possible() -> None:
    """A move without an answer may happen late: until the next answered move the alias may mean either collection."""
    moves = (Move("x", "a", 1.0, 1.1), Move("x", "b", 50.0), Move("x", "b", 80.0, 80.1))
    judge = _judge(Write("a", 0, 1, 2.0), Write("b", 0, 2, 2.0), moves=moves)
    assert judge.verdict(_read(Level.BOUNDED, 1, name="x", sent=70.0)) is None
    assert judge.verdict(_read(Level.BOUNDED, 2, name="x", sent=70.0)) is None
    assert judge.verdict(_read(Level.BOUNDED, 1, name="x", sent=82.0)) is not None
