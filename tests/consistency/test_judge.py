"""The judge of ``make check-consistency``, on histories made by hand."""

from __future__ import annotations

import pytest

from tests.consistency.judge import Judge, Rule, Verdict
from tests.consistency.records import ALLOWED, Change, Level, Lost, Question, Read, Recorded, Write, access_name

_BOTH = (Write("a", 0, 1, 2.0), Write("b", 0, 2, 2.0))


def _recorded(*writes: Write, changes: tuple[Change, ...] = (), reads: tuple[Read, ...] = ()) -> Recorded:
    return Recorded({"a": Level.BOUNDED, "b": Level.STRONG}, list(writes), list(changes), list(reads))


def _judge(*writes: Write, changes: tuple[Change, ...] = (), reads: tuple[Read, ...] = ()) -> Judge:
    return Judge(_recorded(*writes, changes=changes, reads=reads))


def _read(
    level: Level,
    *keys: int,
    name: str = "a",
    guarantee: int = 0,
    sent: float = 100.0,
    user: str = "root",
    outcome: str = "",
    age: float | None = None,
    took: float = 0.1,
) -> Read:
    question = Question("arm", user, name, "Query", "block == 0")
    return Read(question, 0, level, guarantee, sent, sent + took, frozenset(keys), outcome, age)


def _rule(verdict: Verdict | None) -> Rule | None:
    return verdict.rule if verdict else None


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
    assert _rule(verdict) is (Rule.MISSED if bad else None)
    assert verdict is None or verdict.keys == (1,)


@pytest.mark.parametrize("level", [Level.SESSION, Level.CUSTOMIZED])
def test_every_write_up_to_the_guarantee(level: Level) -> None:
    """Session and Customized reads have every write with a timestamp up to their guarantee, and may lack later ones."""
    judge = _judge(Write("a", 0, 1, 99.0, 10), Write("a", 0, 2, 99.5, 20))
    assert judge.verdict(_read(level, guarantee=9)) is None
    assert judge.verdict(_read(level, 1, guarantee=10)) is None
    found = judge.verdict(_read(level, guarantee=20))
    assert found is not None
    assert found.keys == (1, 2)


@pytest.mark.parametrize("outcome", ["", "bypass", "miss", "hit"])
def test_a_guarantee_with_the_default_level(outcome: str) -> None:
    """Milvus ignores it; what the cache asks for or has kept does not lack what it covers."""
    read = _read(Level.DEFAULT, guarantee=10, outcome=outcome)
    verdict = _judge(Write("a", 0, 1, 99.9, 10), reads=(_read(Level.DEFAULT, outcome="miss"),)).verdict(read)
    assert _rule(verdict) is (Rule.MISSED if outcome in {"miss", "hit"} else None)


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
        assert (found.rule, found.keys) == (Rule.FOREIGN, (key,))


def test_an_alias_that_moves() -> None:
    """From 1 s after the answer an alias means the new collection only; before that, either collection."""
    changes = (Change("x", "a", 1.0, 1.1, "arm"), Change("x", "b", 50.0, 50.5, "arm"))
    judge = _judge(*_BOTH, changes=changes)
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
    assert (found.rule, found.milvus) == (Rule.FORMER, True)
    assert found.late == pytest.approx(2.0)
    # Nor does it matter what it missed there.
    changes = (Change("x", "b", 1.0, 1.1, "arm"), Change("x", "a", 50.0, 50.5, "arm"))
    strict = _judge(*_BOTH, Write("b", 0, 3, 52.0), changes=changes)
    assert _rule(strict.verdict(_read(Level.DEFAULT, 2, name="x", sent=52.5))) is Rule.FORMER
    # What neither collection could have answered is not the alias's fault.
    stranger = judge.verdict(_read(Level.BOUNDED, 1, 2, name="x", sent=52.5))
    assert stranger is not None
    assert (stranger.rule, stranger.milvus) == (Rule.FOREIGN, False)


def test_a_change_without_an_answer_leaves_both_possible() -> None:
    """A move without an answer may happen late: until the next answered move the alias may mean either collection."""
    changes = (Change("x", "a", 1.0, 1.1), Change("x", "b", 50.0), Change("x", "b", 80.0, 80.1))
    judge = _judge(*_BOTH, changes=changes)
    assert judge.verdict(_read(Level.BOUNDED, 1, name="x", sent=70.0)) is None
    assert judge.verdict(_read(Level.BOUNDED, 2, name="x", sent=70.0)) is None
    assert judge.verdict(_read(Level.BOUNDED, 1, name="x", sent=82.0)) is not None


def test_a_collection_that_was_dropped() -> None:
    """Nothing is answered for it, not even no rows; made again, it has no row of the first one."""
    first, second = Change("x", "a", 1.0, 1.1, "arm"), Change("x", "b", 60.0, 60.1, "arm")
    judge = _judge(*_BOTH, changes=(first, Change("x", None, 50.0, 50.1, "arm"), second))
    assert judge.verdict(_read(Level.EVENTUALLY, 1, name="x", sent=51.0)) is None
    assert _rule(judge.verdict(_read(Level.EVENTUALLY, 1, name="x", sent=51.2))) is Rule.FORMER
    assert judge.verdict(_read(Level.EVENTUALLY, name="x", sent=51.2)) is not None
    assert _rule(judge.verdict(_read(Level.EVENTUALLY, 1, name="x", sent=62.0))) is Rule.FORMER
    assert judge.verdict(_read(Level.EVENTUALLY, 2, name="x", sent=62.0)) is None


def test_a_right_that_was_taken_away() -> None:
    """Its user gets no answer from 1 s after the answer on, and other users do."""
    name = access_name("bob", "a")
    changes = (Change(name, ALLOWED, 0.0, 0.0, "arm"), Change(name, None, 50.0, 50.1, "arm"))
    judge = _judge(Write("a", 0, 1, 2.0), changes=changes)
    assert judge.verdict(_read(Level.EVENTUALLY, 1, user="bob", sent=51.0)) is None
    assert _rule(judge.verdict(_read(Level.EVENTUALLY, 1, user="bob", sent=51.2))) is Rule.ACCESS
    assert judge.verdict(_read(Level.EVENTUALLY, 1, sent=51.2)) is None


def test_a_change_elsewhere_takes_effect_at_most_the_bound_later() -> None:
    """Behind a cache only: a balancer without one has no excuse."""
    changes = (Change("x", "a", 1.0, 1.1, "other"), Change("x", "b", 50.0, 50.5, "other"))
    judge = _judge(*_BOTH, changes=changes, reads=(_read(Level.BOUNDED, 1, name="x", sent=49.0, outcome="miss"),))
    assert judge.verdict(_read(Level.BOUNDED, 1, name="x", sent=53.0, outcome="hit")) is None
    assert judge.verdict(_read(Level.BOUNDED, 1, name="x", sent=56.6, outcome="hit")) is not None
    assert judge.verdict(_read(Level.BOUNDED, 1, name="x", sent=53.0)) is not None


def test_a_cached_answer_from_before_a_change_is_excused_by_milvus_alone() -> None:
    """Only if a read that was sent after the change, and forwarded, has the same rows, Milvus gave them so late."""
    changes = (Change("x", "a", 1.0, 1.1, "arm"), Change("x", "b", 50.0, 50.1, "arm"))
    hit = _read(Level.BOUNDED, 1, name="x", sent=52.0, outcome="hit")

    def milvus(*misses: Read) -> bool:
        found = _judge(*_BOTH, changes=changes, reads=misses).verdict(hit)
        assert found is not None
        assert found.rule is Rule.FORMER
        return found.milvus

    before = _read(Level.BOUNDED, 1, name="x", sent=49.9, outcome="miss", took=1.5)
    closed = _read(Level.BOUNDED, 1, name="x", sent=50.2, outcome="miss")
    after = _read(Level.BOUNDED, 1, name="x", sent=51.2, outcome="miss")
    assert not milvus(before, closed)
    assert milvus(before, closed, after)


def test_a_strong_read_is_never_answered_from_the_cache() -> None:
    """Neither one that says so nor one of a collection whose default it is."""
    for read in (_read(Level.STRONG, 1, outcome="hit"), _read(Level.DEFAULT, 2, name="b", outcome="joined")):
        assert _rule(_judge(*_BOTH, reads=(read,)).verdict(read)) is Rule.STRONG


def test_a_cached_answer_was_made_for_an_equal_read() -> None:
    """For the same user and question, not at Strong, with the same rows, and at most the bound before."""
    hit = _read(Level.BOUNDED, 1, outcome="hit")

    def sourced(*reads: Read) -> bool:
        return _judge(Write("a", 0, 1, 2.0), reads=reads).verdict(hit) is None

    assert sourced(_read(Level.DEFAULT, 1, sent=96.0, outcome="miss"))
    assert sourced(_read(Level.DEFAULT, 1, sent=100.05, outcome="miss"))
    assert not sourced(_read(Level.DEFAULT, 1, sent=94.0, outcome="miss"))
    assert not sourced(_read(Level.DEFAULT, 1, sent=96.0, outcome="miss", user="bob"))
    assert not sourced(_read(Level.DEFAULT, sent=96.0, outcome="miss"))
    assert not sourced(_read(Level.DEFAULT, 1, sent=96.0, outcome="bypass"))
    assert not sourced(_read(Level.STRONG, 1, sent=96.0, outcome="miss"))
    assert not sourced(_read(Level.EVENTUALLY, 1, sent=96.0, outcome="miss"))


def test_a_cached_answer_may_be_of_a_read_whose_client_gave_up() -> None:
    """No reader has recorded such an answer."""
    hit = _read(Level.BOUNDED, 1, outcome="hit")
    recorded = _recorded(Write("a", 0, 1, 2.0))
    recorded.lost.append(Lost(hit.question, 97.0, 98.0))
    assert Judge(recorded).verdict(hit) is None


def test_the_age_that_the_header_states() -> None:
    """It is at most the bound, and the time for which the read waited for the answer to another one."""
    miss = _read(Level.BOUNDED, 1, sent=99.0, outcome="miss")
    judge = _judge(Write("a", 0, 1, 2.0), reads=(miss,))
    assert judge.verdict(_read(Level.BOUNDED, 1, outcome="hit", age=5.0)) is None
    assert _rule(judge.verdict(_read(Level.BOUNDED, 1, outcome="hit", age=5.3))) is Rule.AGE
    assert judge.verdict(_read(Level.BOUNDED, 1, outcome="joined", age=6.9, took=2.0)) is None
