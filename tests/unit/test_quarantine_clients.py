"""The search with a client that is slow, restarts, or rejects everything."""

from __future__ import annotations

from kiteway.quarantine.search import MAX_OFFENCES, Search
from tests.support.quarantine_search import Client, forms, judge, published, settle


def test_a_parked_unit_delays_no_other() -> None:
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


def test_a_unit_parked_alone_leaves_nothing_on_trial() -> None:
    """It does not come back by another round, but by its own change."""
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


def test_a_unit_that_blocks_a_start_is_left_out_until_ready() -> None:
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


def test_a_client_that_rejects_everything_blames_no_unit() -> None:
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


def test_a_unit_to_blame_repeatedly_waits() -> None:
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
