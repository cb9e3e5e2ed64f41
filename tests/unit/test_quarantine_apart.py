"""Suspects that Envoy does not name are tried apart from all others, in a table of their own."""

from __future__ import annotations

import functools

import pytest

from kiteway.envoy.ads import LISTENER, ROUTE
from kiteway.envoy.xds.trial import NAME
from kiteway.pipeline.pipeline import Outcome
from kiteway.quarantine.quarantine import Quarantine
from tests.unit.test_quarantine_units import BAD, NOW, World, app, held, hosts

_NAMES = [f"n{number:02}" for number in range(40)]


def on_trial(outcome: Outcome) -> list[str]:
    """Return the hosts in the table for trials."""
    body = outcome.snapshot[ROUTE][f"{NAME}/https"].body.decode(errors="replace")
    return [name for name in _NAMES if f"{name}.example.com" in body]


@pytest.mark.parametrize("place", [0, 17, 39])
def test_one_that_envoy_does_not_name_is_found_apart(place: int) -> None:
    """The table that is served is built twice: with all changes, and without the one to blame."""
    world = World(says="no")
    world.run(*(app(name) for name in _NAMES))
    bad = _NAMES[place]
    outcome = world.run(*(app(name, BAD if name == bad else "x-good:1", to="/new") for name in _NAMES))

    assert held(outcome) == [bad]
    assert hosts(outcome) == {name: "/" if name == bad else "/new" for name in _NAMES}
    served = [each.snapshot[ROUTE]["https"].version for each in world.tried]
    assert len(set(served)) == 3, "with all changes, in the last accepted forms, and without the one to blame"
    halves = [on_trial(each) for each in world.tried if each.quarantine.apart]
    assert halves[0] == _NAMES[:20]
    assert sum(map(len, halves)) <= len(_NAMES), "all trials together cost less than one table"
    assert on_trial(outcome) == []


def test_the_listener_for_trials_is_made_when_it_is_needed() -> None:
    """It stays afterwards, and nothing can connect to it."""
    world = World(says="no")
    before = world.run(*(app(name) for name in _NAMES))
    assert NAME not in before.snapshot[LISTENER]
    after = world.run(*(app(name, BAD if name == "n03" else "x-good:1", to="/new") for name in _NAMES))
    again = world.run(*(app(name) for name in _NAMES))
    assert NAME in after.snapshot[LISTENER]
    assert after.snapshot[LISTENER][NAME] == again.snapshot[LISTENER][NAME]


def test_of_two_that_only_conflict_the_younger_is_to_blame() -> None:
    """No half is rejected, so the trials point to another one, which is not blamed for it."""
    world = World(words=(b"x-first", b"x-second"), says="no")
    world.run(*(app(name) for name in _NAMES))
    headers = {"n04": "x-first:1", "n30": "x-second:1"}
    outcome = world.run(*(app(name, headers.get(name, "x-good:1"), to="/new") for name in _NAMES))
    assert held(outcome) == ["n30"]
    assert hosts(outcome) == {name: "/" if name == "n30" else "/new" for name in _NAMES}


def test_a_change_meanwhile_ends_the_trials() -> None:
    """What changed is tried again with the rest, and what was rejected before blames no Ingress."""
    world = World(says="no")
    world.run(*(app(name) for name in _NAMES))
    bad = [app(name, BAD if name == "n03" else "x-good:1", to="/new") for name in _NAMES]
    world.begin(*bad)
    rejection = world.rejected(world.outcome.snapshot)
    assert rejection is not None
    world.pipeline.judge(functools.partial(Quarantine.reject, rejections=[rejection], now=NOW), NOW)
    assert world.outcome.quarantine.apart
    assert world.outcome.quarantine.searching

    outcome = world.run(*(app(name, to="/new") for name in _NAMES))
    assert held(outcome) == []
    assert set(hosts(outcome).values()) == {"/new"}


def test_changes_that_wait_are_tried_before_the_trials_end() -> None:
    """When they are overdue, the search goes on with those that are left as a hint."""
    world = World(says="no")
    world.run(*(app(name) for name in _NAMES))
    bad = [app(name, BAD if name == "n03" else "x-good:1", to="/new") for name in _NAMES]
    world.begin(*bad)
    rejection = world.rejected(world.outcome.snapshot)
    assert rejection is not None
    world.pipeline.judge(functools.partial(Quarantine.reject, rejections=[rejection], now=NOW), NOW)
    world.begin(*bad, app("other"))
    assert "other" not in hosts(world.outcome)
    world.pipeline.judge(Quarantine.overdue, NOW)
    assert "other" in hosts(world.outcome)
    outcome = world.run(*bad, app("other"))
    assert held(outcome) == ["n03"]


def test_who_keeps_an_envoy_from_starting_stays_left_out() -> None:
    """Also while others are tried apart, and the accepted forms are published."""
    world = World(says="no")
    world.run(*(app(name) for name in _NAMES))
    world.pipeline.judge(functools.partial(Quarantine.leave_out, clusters={"pool/default/n05/19530/grpc"}), NOW)
    assert "n05" not in hosts(world.outcome)
    bad = [app(name, BAD if name == "n03" else "x-good:1", to="/new") for name in _NAMES if name != "n05"]
    world.begin(*bad, app("n05"))
    rejection = world.rejected(world.outcome.snapshot)
    assert rejection is not None
    world.pipeline.judge(functools.partial(Quarantine.reject, rejections=[rejection], now=NOW), NOW)
    assert world.outcome.quarantine.apart
    assert "n05" not in hosts(world.outcome)
