"""The conditions of the cache (docs/design/cache.md), on the model. The long search is ``make check-cache-model``."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cache.conditions import NONE, Condition
from tests.cache.generate import AHEAD, ANNOUNCED_AHEAD, PARAMETERS, history, strangers
from tests.cache.history import (
    PROXIES,
    Change,
    Failover,
    History,
    Level,
    Operation,
    Read,
    Replacement,
    Sample,
    Suspension,
    Write,
)
from tests.cache.milvus import KINDS
from tests.cache.search import search, shorten, without
from tests.cache.simulate import run
from tests.cache.witnesses import WITNESSES

_TIME = st.integers(0, 12_000)
_DELAY = st.one_of(st.integers(1, 20), st.integers(1, 7000))
_ZERO_ONE = st.integers(0, 1)
_NAME = st.sampled_from("cae")
_OPERATION: st.SearchStrategy[Operation] = st.one_of(
    st.builds(
        Read,
        _TIME,
        replica=_ZERO_ONE,
        pool=st.just(0) | _ZERO_ONE,
        user=_ZERO_ONE,
        database=_ZERO_ONE,
        by_header=st.booleans(),
        name=_NAME,
        level=st.none() | st.sampled_from(Level),
        write=st.none() | _ZERO_ONE,
        parameters=st.sampled_from(PARAMETERS),
        upload=st.just(0) | _DELAY,
        proxy=_ZERO_ONE,
        up=_DELAY,
        down=_DELAY,
        fails=st.booleans(),
        unseen=st.booleans(),
    ),
    # As alike as can be, so that there are hits.
    st.builds(Read, _TIME, write=st.none() | _ZERO_ONE, level=st.none() | st.sampled_from(Level), down=_DELAY),
    st.builds(Sample, _TIME, replica=_ZERO_ONE, pool=_ZERO_ONE, up=_DELAY, down=_DELAY),
    st.builds(Write, _TIME, database=_ZERO_ONE, name=_NAME, ack=_DELAY),
    st.builds(
        Change,
        _TIME,
        replica=st.none() | _ZERO_ONE,
        kind=st.sampled_from(KINDS),
        database=_ZERO_ONE,
        name=_NAME,
        target=st.integers(0, 3),
        outcome=st.sampled_from(("success", "refused", "uncertain", "silent")),
        commit=_DELAY,
        answer=_DELAY,
        heard=st.tuples(*[st.integers(0, 1000)] * PROXIES),
        stranger=st.booleans(),
    ),
    st.builds(Failover, _TIME, lead=st.integers(0, 3000)),
    st.builds(Replacement, _TIME, ahead=st.sampled_from(AHEAD)),
    st.builds(Replacement, _TIME, ahead=st.sampled_from(ANNOUNCED_AHEAD), announced=st.just(True)),
    st.builds(Suspension, _TIME, replica=_ZERO_ONE, duration=st.integers(1, 6000)),
)


def _history(operations: list[Operation], levels: tuple[Level, ...]) -> History:
    begin: list[Operation] = [Sample(0)]
    return History((*begin, *sorted(operations, key=lambda operation: operation.at)), levels)


_LEVELS = st.tuples(*[st.sampled_from(tuple(Level)[:4])] * 3)
_HISTORIES = st.builds(_history, st.lists(_OPERATION, min_size=1, max_size=20), _LEVELS)


@pytest.mark.parametrize("condition", Condition, ids=lambda condition: condition.name)
def test_each_condition_is_needed(condition: Condition) -> None:
    """In the shortest known history a read violates its level without the condition, and none does with it."""
    history = WITNESSES[condition]
    assert run(history, without(condition)).violations
    assert not run(history).violations


def test_no_read_violates_its_level() -> None:
    """With all conditions no history of the search has a violation, although it has hits, joins and fills."""
    found = search(NONE, 0, 1500)
    assert found.shortest is None, found.shortest
    outcomes = found.outcomes or Counter()
    assert min(outcomes["hit"], outcomes["joined"], outcomes["fill"]) > 100


def test_no_read_violates_its_level_where_strangers_make_changes() -> None:
    """Their calls close nothing while they are answered, but their answers bump the generation as all others do."""
    changes = 0
    for number in range(1500):
        drawn = strangers(history(random.Random(number)))
        changes += sum(isinstance(operation, Change) and operation.stranger for operation in drawn.operations)
        assert not run(drawn).violations, drawn
    assert changes > 500


def test_whichever_reads_the_cache_is_not_asked_about_no_other_one_violates_its_level() -> None:
    """Any read may be sent as it is: fewer reads are hits, and none breaks a promise."""
    found = Counter[str]()
    for number in range(1000):
        rng = random.Random(number)
        drawn = history(rng)
        unseen = [
            replace(each, unseen=rng.random() < 0.5) if isinstance(each, Read) else each for each in drawn.operations
        ]
        result = run(replace(drawn, operations=tuple(unseen)), NONE)
        assert not result.violations
        found += result.outcomes
    assert found["hit"] > 100


def test_a_strangers_change_takes_effect_with_its_answer() -> None:
    """A hit while the answer to a stranger's change is outstanding is permitted, and none after it."""
    change = Change(10, commit=10, answer=100)
    for each, outcomes in ((change, {"forward": 3}), (replace(change, stranger=True), {"forward": 2, "hit": 1})):
        reads = [Read(at, level=Level.EVENTUALLY) for at in (0, 50, 130)]
        result = run(History((reads[0], each, *reads[1:])))
        assert result.outcomes == outcomes
        assert not result.violations


@given(_HISTORIES)
@settings(max_examples=300, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_history_of_hypothesis_has_a_violation(history: History) -> None:
    """With all conditions no generated history has a violation, at any time and with any delay."""
    assert not run(history).violations


def test_a_history_with_a_violation_is_shortened() -> None:
    """Operations that do not matter are removed from a history with a violation, which still has the violation."""
    dropped = without(Condition.HIT_AGE)
    noise: tuple[Operation, ...] = (Write(1), Read(1500, name="e"), Suspension(2000, 1), Failover(3000))
    history = WITNESSES[Condition.HIT_AGE]
    noisy = History(tuple(sorted((*history.operations, *noise), key=lambda operation: operation.at)), history.levels)
    assert len(shorten(noisy, dropped).operations) == len(history.operations)


def test_the_first_read_of_a_question_is_shared_and_stored() -> None:
    """Of equal reads the first one is a fill; the others join it or are hits, and none violates its level."""
    result = run(History((Sample(0), Read(1100, down=500), Read(1110), Read(1120), Read(1700))))
    assert result.outcomes == {"fill": 1, "joined": 2, "hit": 1}
    assert not result.violations


def test_open_at_the_store_is_not_enough() -> None:
    """
    A fill that starts while the generation is closed and returns after it has opened would be stored: see
    docs/design/cache.md.
    """
    history = History(
        (
            Change(8005, heard=(200, 1000)),
            Read(8510, level=Level.EVENTUALLY, proxy=1, down=600),
            Read(9435, level=Level.EVENTUALLY),
        )
    )
    assert run(history, without(Condition.FILL_OPEN)).violations
    assert not run(history).violations


def test_bound_of_eventually_holds_for_privileges_too() -> None:
    """
    After a privilege is revoked elsewhere, an Eventually hit may come later than B, within the bound of
    Eventually.
    """
    history = History(
        (
            Read(0, level=Level.EVENTUALLY),
            Change(10, None, kind="revoke"),
            Read(6000, level=Level.EVENTUALLY),
            Read(8001, level=Level.EVENTUALLY),
        )
    )
    result = run(history)
    assert result.outcomes == {"forward": 2, "hit": 1}
    assert not result.violations


def test_another_cluster_ahead_behind_the_same_addresses_is_a_precondition() -> None:
    """
    If another Milvus with later timestamps takes the same addresses, a Bounded read may be too old, as
    documented.
    """
    result = run(History((Sample(0), Replacement(900, ahead=20_000), Read(1002))))
    assert any("Bounded read missed" in text for text in result.violations)
