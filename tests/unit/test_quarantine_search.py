"""The search for the unit to blame: the state machine against a model of a client that rejects by a hidden rule."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kiteway.quarantine.search import MAX_OFFENCES, MAX_PUSHES, Search

MANY = 100_000
Conflicts = frozenset[frozenset[str]]


class Client:
    """
    What Envoy does with a set of forms.

    A form that begins with ``bad`` is rejected wherever it is; ``conflicts`` are forms that are rejected together.
    """

    def __init__(self, conflicts: Iterable[Iterable[str]] = (), *, takes_anything: bool = True) -> None:
        self.conflicts = [frozenset(each) for each in conflicts]
        self.takes_anything = takes_anything

    def bad(self, forms: Iterable[str]) -> bool:
        """Return whether forms are rejected together."""
        found = set(forms)
        return (
            not self.takes_anything
            or any(f.startswith("bad") for f in found)
            or any(c <= found for c in self.conflicts)
        )


def published(search: Search[str], keys: Iterable[str]) -> dict[str, str]:
    """Return the forms that are published."""
    return {key: form for key in keys if (form := search.published(key)) is not None}


def judge(search: Search[str], client: Client, keys: Iterable[str], names: Iterable[str] = ()) -> bool:
    """Give one verdict; return whether it was accepted."""
    if client.bad(published(search, keys).values()):
        search.reject("no", [name for name in names if name in search.on_trial])
        return False
    search.accept()
    return True


def settle(search: Search[str], client: Client, keys: Iterable[str], names: Iterable[str] = ()) -> int:
    """Give verdicts until none is wanted; return how many."""
    keys = list(keys)
    pushes = 0
    while search.undecided:
        judge(search, client, keys, names)
        pushes += 1
        assert pushes < 10_000, "it never ends"
    return pushes


def forms(count: int, **others: str) -> dict[str, str]:
    """Return so many units with good forms, but for ``others``."""
    return {f"u{number:04}": f"good{number}" for number in range(count)} | others


def test_what_is_accepted_costs_one_push() -> None:
    """There is no search, and a later change of one unit is on trial alone."""
    search, client = Search[str](), Client()
    search.want(forms(1000))
    assert settle(search, client, forms(1000)) == 1
    search.want(forms(1000, u0007="other"))
    assert list(search.on_trial) == ["u0007"]
    assert settle(search, client, forms(1000)) == 1
    assert search.accepted["u0007"] == "other"


def test_a_culprit_keeps_its_last_accepted_form_and_others_go_on() -> None:
    """It is not tried again while it is unchanged, and tried at once when it changes."""
    search, client = Search[str](), Client()
    search.want(forms(5))
    settle(search, client, forms(5))
    search.want(forms(5, u0002="bad", u0003="new"))
    settle(search, client, forms(5))

    assert published(search, forms(5)) == forms(5, u0003="new")
    assert search.culprits.keys() == {"u0002"}
    assert search.culprits["u0002"].message == "no"
    search.want(forms(5, u0002="bad", u0003="newer"))
    assert list(search.on_trial) == ["u0003"]
    settle(search, client, forms(5))
    search.want(forms(5, u0002="mended", u0003="newer"))
    settle(search, client, forms(5))
    assert (search.culprits, search.accepted["u0002"]) == ({}, "mended")


def test_going_back_to_the_accepted_form_ends_the_quarantine_without_a_push() -> None:
    """The accepted form needs no trial."""
    search, client = Search[str](), Client()
    search.want(forms(2))
    settle(search, client, forms(2))
    search.want(forms(2, u0001="bad"))
    settle(search, client, forms(2))

    search.want(forms(2))

    assert (search.culprits, search.undecided) == ({}, False)


@pytest.mark.parametrize("place", [0, 1, 499, 998, 999])
def test_one_culprit_among_a_thousand_new_units(place: int) -> None:
    """It is found within the pushes of one search, and all others are accepted."""
    search, client = Search[str](), Client()
    wanted = forms(1000, **{f"u{place:04}": "bad"})
    search.want(wanted)

    assert settle(search, client, wanted) <= MAX_PUSHES
    assert search.culprits.keys() == {f"u{place:04}"}
    assert len(search.accepted) == 999
    assert not search.unsettled


def test_a_named_culprit_costs_two_pushes() -> None:
    """The units that the message does not name are tried first; if they are accepted, the named one is to blame."""
    search, client = Search[str](), Client()
    wanted = forms(1000, u0500="bad")
    search.want(wanted)

    assert settle(search, client, wanted, ["u0500"]) == 2
    assert search.culprits.keys() == {"u0500"}


def test_a_wrong_name_is_not_believed() -> None:
    """A message that names a good unit costs pushes only."""
    search, client = Search[str](), Client()
    wanted = forms(100, u0050="bad")
    search.want(wanted)
    settle(search, client, wanted, ["u0003", "u0099"])
    assert search.culprits.keys() == {"u0050"}
    assert len(search.accepted) == 99


def test_of_two_that_conflict_the_younger_is_to_blame() -> None:
    """The units come oldest first."""
    client = Client([("good3", "good7")])
    search = Search[str]()
    search.want(forms(10))
    settle(search, client, forms(10))
    assert search.culprits.keys() == {"u0007"}


def test_changes_during_a_search_are_tried_before_it_goes_on() -> None:
    """Another unit's change is published next, and the search waits for one verdict only."""
    search, client = Search[str](), Client()
    wanted = forms(1000, u0500="bad")
    search.want(wanted)
    judge(search, client, wanted)
    assert search.searching
    search.want(wanted | {"u0001": "victim", "u0998": "victim too"})
    judge(search, client, wanted)

    assert sorted(search.on_trial) == ["u0001", "u0998"]
    judge(search, client, wanted)
    assert (search.accepted["u0001"], search.accepted["u0998"]) == ("victim", "victim too")
    settle(search, client, wanted)
    assert search.culprits.keys() == {"u0500"}


def test_changes_do_not_wait_long_for_a_verdict() -> None:
    """If a client is slow, waiting changes are published beside those on trial."""
    search = Search[str]()
    search.want(forms(3))
    search.want(forms(3, u0001="newer"))
    assert search.waiting
    search.overdue()
    assert search.published("u0001") == "newer"
    assert not search.waiting


def test_a_search_that_takes_too_long_holds_the_rest_back_until_it_is_tried_again() -> None:
    """Undecided units are held back and do not return by themselves; a retry decides."""
    wanted = forms(1000, **{f"u{number:04}": "bad" for number in range(0, 1000, 100)})
    search, client = Search[str](), Client()
    search.want(wanted)
    assert settle(search, client, wanted) <= MAX_PUSHES
    assert search.unsettled
    search.want(wanted)
    assert not search.undecided
    for _ in range(20):
        search.retry()
        assert settle(search, client, wanted) <= MAX_PUSHES

    assert sorted(search.culprits) == [f"u{number:04}" for number in range(0, 1000, 100)]
    assert len(search.accepted) == 990
    assert not search.unsettled


def test_a_search_that_is_given_up_goes_on_where_it_was() -> None:
    """With a slow client each search makes progress."""
    wanted = forms(1000, u0700="bad")
    search, client = Search[str](), Client()
    search.want(wanted)
    for _ in range(4):
        for _ in range(4):
            if search.undecided:
                judge(search, client, wanted)
        if search.searching:
            search.give_up()
        search.retry()
    settle(search, client, wanted)
    assert search.culprits.keys() == {"u0700"}
    assert len(search.accepted) == 999


def test_changes_of_others_do_not_hold_up_a_search() -> None:
    """With a change of another unit between any two verdicts, the unit to blame is still found."""
    wanted = forms(256)
    search, client = Search[str](), Client()
    search.want(wanted)
    settle(search, client, wanted)
    wanted |= {key: f"next{key}" for key in list(wanted)[100:200]} | {"u0150": "bad"}
    search.want(wanted)
    for number in range(40):
        if search.searching:
            wanted |= {"u0001": f"victim{number}"}
            search.want(wanted)
        judge(search, client, wanted)
    assert search.culprits.keys() == {"u0150"}
    assert not search.undecided


def test_what_is_mended_by_somebody_elses_change_is_not_blamed() -> None:
    """If one of two conflicting units changes during the search, the other is not blamed on old evidence."""
    search, client = Search[str](), Client([("good1", "next2")])
    search.want(forms(3))
    settle(search, client, forms(3))
    wanted = forms(3, u0002="next2", u0000="next0")
    search.want(wanted)
    judge(search, client, wanted)
    wanted["u0001"] = "other"
    search.want(wanted)
    settle(search, client, wanted)
    assert (search.culprits, search.accepted) == ({}, wanted)


def test_who_is_parked_holds_up_nobody() -> None:
    """
    The other units on trial are accepted without the parked one, which is on trial again when the client is
    ready for it.
    """
    search, client = Search[str](), Client()
    search.want(forms(3))
    settle(search, client, forms(3))
    wanted = forms(3, u0000="slow", u0001="next")
    search.want(wanted)
    search.park(["u0000"])
    assert published(search, wanted) == forms(3, u0001="next")
    settle(search, client, wanted)
    search.want(wanted)
    assert not search.undecided
    assert search.accepted["u0001"] == "next"

    search.unpark()
    assert list(search.on_trial) == ["u0000"]
    settle(search, client, wanted)

    assert search.accepted == wanted


def test_who_is_parked_alone_leaves_nothing_to_be_judged() -> None:
    """It does not come back by another round, but by a change of its own."""
    search, client = Search[str](), Client()
    search.want(forms(2))
    settle(search, client, forms(2))
    search.want(forms(2, u0000="slow"))
    search.park(["u0000"])
    assert not search.undecided
    search.want(forms(2, u0000="fast"))
    assert list(search.on_trial) == ["u0000"]
    search.unpark()
    settle(search, client, forms(2))
    assert search.accepted == forms(2, u0000="fast")


def test_who_keeps_a_client_from_starting_is_left_out_until_it_is_ready() -> None:
    """Even its accepted form is not published, and it comes back without a verdict."""
    search, client = Search[str](forms(3)), Client()
    search.want(forms(3))
    search.leave_out(["u0001"])
    assert "u0001" not in published(search, forms(3))
    settle(search, client, forms(3))
    assert search.accepted == forms(3)

    search.unpark()

    assert published(search, forms(3)) == forms(3)
    assert not search.undecided


def test_a_client_that_rejects_everything_blames_nobody() -> None:
    """
    If its port is taken or it lacks the module, all units are published, and all are accepted once the client
    accepts them.
    """
    search, client = Search({"u0000": "good0", "u0001": "good1"}), Client(takes_anything=False)
    search.want(forms(3))
    settle_once = [judge(search, client, forms(3)) for _ in range(3)]
    assert settle_once == [False] * 3
    assert (search.blocked, search.culprits, search.unsettled) == ("no", {}, {})
    assert published(search, forms(3)) == forms(3)

    client.takes_anything = True
    search.want(forms(4))
    settle(search, client, forms(4))

    assert (search.blocked, search.accepted) == ("", forms(4))


def test_a_new_client_gets_what_is_known_to_be_good_first() -> None:
    """Forms that were on trial when the last client ended are tried after the accepted forms."""
    search, client = Search[str](), Client()
    search.want(forms(3))
    settle(search, client, forms(3))
    search.want(forms(3, u0001="bad"))

    search.reconnect()

    assert published(search, forms(3)) == forms(3)
    settle(search, client, forms(3))
    assert search.culprits.keys() == {"u0001"}


def test_a_restart_tries_nothing_that_is_known_to_be_bad() -> None:
    """The state to store is the accepted forms and the units to blame."""
    wanted = forms(4, u0002="bad", u0003="new")
    first, client = Search[str](), Client()
    first.want(wanted)
    settle(first, client, wanted)
    second = Search(first.accepted, first.culprits)
    second.want(wanted)

    assert settle(second, client, wanted) == 1
    assert second.culprits == first.culprits
    assert published(second, wanted) == published(first, wanted)


def test_who_is_to_blame_again_and_again_waits() -> None:
    """A tenant cannot keep the client busy by changing a bad object all the time."""
    search, client = Search[str](), Client()
    for number in range(MAX_OFFENCES):
        search.want({"a": "good", "b": f"bad{number}"})
        settle(search, client, "ab")
        assert search.culprits.keys() == {"b"}
    search.want({"a": "good", "b": "bad again"})
    assert not search.undecided
    assert search.unsettled.keys() == {"b"}

    search.want({"a": "good", "b": "mended"})
    search.retry()
    settle(search, client, "ab")

    assert search.accepted["b"] == "mended"
    search.want({"a": "good", "b": "mended again"})
    assert search.undecided


@given(
    st.integers(1, 60).flatmap(
        lambda count: st.tuples(
            st.just(count),
            st.sets(st.integers(0, count - 1), max_size=6),
            st.sets(
                st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda p: p[0] < p[1]),
                max_size=4,
            ),
            st.sets(st.integers(0, count - 1)),
        )
    )
)
@settings(max_examples=400)
def test_every_culprit_is_found_and_no_other(
    drawn: tuple[int, set[int], set[tuple[int, int]], set[int]],
) -> None:
    """
    For any bad units, alone or with an older one, all others end in their newest form, within the pushes of
    each search.
    """
    count, bad, pairs, named = drawn
    wanted = forms(count, **{f"u{number:04}": f"bad{number}" for number in bad})
    good = {number: f"good{number}" for number in range(count) if number not in bad}
    client = Client([(good[a], good[b]) for a, b in pairs if a in good and b in good])
    search = Search[str]()
    search.want(wanted)
    assert settle(search, client, wanted, [f"u{number:04}" for number in named & bad]) <= MAX_PUSHES
    for _ in range(count):
        search.retry()
        assert settle(search, client, wanted) <= MAX_PUSHES

    assert not client.bad(search.accepted.values())
    assert search.culprits.keys() | search.accepted.keys() == wanted.keys()
    assert not search.culprits.keys() & search.accepted.keys()
    for key in search.culprits:
        assert client.bad([*search.accepted.values(), wanted[key]]), f"{key} is innocent"


class Life(RuleBasedStateMachine):
    """Units come, change and go, verdicts are early, late or lost, and clients restart."""

    KEYS = "abcdefgh"

    @initialize()
    def start(self) -> None:
        """Begin with nothing."""
        self.search = Search[str]()
        self.client = Client()
        self.wanted: dict[str, str] = {}
        self.number = 0

    def _want(self) -> None:
        self.search.want({key: self.wanted[key] for key in self.KEYS if key in self.wanted})

    @rule(changes=st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["good", "bad", "gone"]), min_size=1))
    def change(self, changes: dict[str, str]) -> None:
        """Some units get a form that was never seen before, or go."""
        for key, kind in changes.items():
            self.number += 1
            if kind == "gone":
                self.wanted.pop(key, None)
            else:
                self.wanted[key] = f"{kind}{self.number}"
        self._want()

    @rule()
    def same(self) -> None:
        """A round without a change."""
        self._want()

    @rule()
    def verdict(self) -> None:
        """The client answers, if it is asked."""
        if self.search.undecided:
            judge(self.search, self.client, self.KEYS)

    @rule()
    def overdue(self) -> None:
        """The client takes its time."""
        self.search.overdue()

    @rule(keys=st.sets(st.sampled_from(KEYS)))
    def park(self, keys: set[str]) -> None:
        """The clusters of some are warming."""
        self.search.park(keys)

    @rule(keys=st.sets(st.sampled_from(KEYS)))
    def leave_out(self, keys: set[str]) -> None:
        """Some keep a client from starting."""
        self.search.leave_out(keys)

    @rule()
    def unpark(self) -> None:
        """They are warm."""
        self.search.unpark()

    @rule()
    def reconnect(self) -> None:
        """The client restarts."""
        self.search.reconnect()
        for form in published(self.search, self.KEYS).values():
            assert not form.startswith("bad") or not self.search.accepted

    @rule()
    def give_up(self) -> None:
        """Time is over."""
        if self.search.searching:
            self.search.give_up()

    @rule()
    def restart(self) -> None:
        """The control plane restarts, with what is kept."""
        self.search = Search(self.search.accepted, self.search.culprits)
        self._want()

    @rule()
    def settle(self) -> None:
        """In the end, each good form is in force, and each bad one is known."""
        self.search.unpark()
        settle(self.search, self.client, self.KEYS)
        for _ in range(10):
            self.search.retry()
            settle(self.search, self.client, self.KEYS)
        good = {key: form for key, form in self.wanted.items() if form.startswith("good")}
        assert {key: self.search.accepted.get(key) for key in good} == good
        assert self.search.culprits.keys() == self.wanted.keys() - good.keys()
        assert self.search.settled

    @invariant()
    def nothing_bad_is_accepted(self) -> None:
        """Nor is anything published for a unit that is not there."""
        if hasattr(self, "search"):
            assert not self.client.bad(self.search.accepted.values())
            assert published(self.search, self.KEYS).keys() <= self.wanted.keys()
            assert self.search.blocked == ""


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
