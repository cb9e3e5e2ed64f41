"""The search for the unit to blame: the state machine against a model of a client that rejects by a hidden rule."""

from __future__ import annotations

import pytest

from kiteway.quarantine.search import MAX_PUSHES, Search
from tests.support.quarantine_search import Client, forms, judge, published, settle


def test_an_accepted_change_costs_one_push() -> None:
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
    assert search.published()["u0001"] == "newer"
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


def test_a_conflict_that_another_change_ends_is_not_blamed() -> None:
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
