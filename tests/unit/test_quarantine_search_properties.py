"""The search for any units, any conflicts, and in any order of events."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kiteway.quarantine.search import MAX_PUSHES, Search
from tests.support.examples import examples
from tests.support.quarantine_search import Client, forms, judge, published, settle


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
@examples(400)
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


TestLife.settings = settings(examples(150), stateful_step_count=30)
