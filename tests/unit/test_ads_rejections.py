"""What a client of the ADS rejects: what is sent again, reported and quoted."""

from __future__ import annotations

import pytest

from kiteway.envoy.ads.session import Session
from kiteway.envoy.ads.snapshot import CLUSTER, LISTENER, ROUTE, SECRET
from tests.support.ads_session import ack, ask, nack, names, snapshot, snapshot_of, started

QUOTE = 'goo.gle/debugproto   \nname: "https"\nvirtual_hosts {\n  name: "ingress/other/tenant"\n'


def test_a_rejected_version_is_not_sent_again() -> None:
    """A rejected version is not sent until the content changes; the last good version stays recorded."""
    session = started(snapshot(cluster={"a": "1"}, listener={"l": "1"}))
    [response] = session.on_snapshot(snapshot(cluster={"a": "1"}, listener={"l": "2"}))
    assert session.on_request(nack(response, "l: no")) == []
    [rejection] = session.rejections
    assert (dict(rejection.resources), rejection.named, rejection.certain) == ({"l": "2"}, ("l",), True)
    assert session.rejected == {LISTENER: {"l": "2"}}

    assert session.on_snapshot(snapshot(cluster={"a": "1"}, listener={"l": "2"})) == []
    assert session.on_snapshot(snapshot(cluster={"a": "1"}, listener={"l": "1"})) == []
    assert session.rejected == {}


def test_the_bad_one_of_many_is_found_by_halving() -> None:
    """If a rejection does not name the bad resource, the good ones still arrive."""
    target = snapshot(cluster={f"c{number}": "1" for number in range(64)})
    session = Session(target)
    queue = session.on_request(ask(CLUSTER))
    good: set[str] = set()
    sent = 0
    while queue:
        response = queue.pop(0)
        sent += 1
        bad = "c17" in names(response)
        good |= set() if bad else set(names(response))
        queue += session.on_request(nack(response) if bad else ack(response))

    assert len(good) == 63
    assert session.rejected == {CLUSTER: {"c17": "1"}}
    assert sent <= 2 * 6 + 2


def test_rejected_route_tables_are_not_sent_again_before_the_next_snapshot() -> None:
    """The quarantine publishes other tables at once, and Envoy builds a rejected one for nothing."""
    session = started(snapshot(listener={"l": "1"}, route={"r": "1", "s": "1"}))
    [tables] = session.on_request(ask(ROUTE, "r", "s"))
    session.on_request(ack(tables))
    [tables] = session.on_snapshot(snapshot(listener={"l": "1"}, route={"r": "2", "s": "2"}))

    assert session.on_request(nack(tables)) == []
    assert session.waits
    [cluster] = session.on_snapshot(snapshot(listener={"l": "1"}, cluster={"a": "1"}, route={"r": "2", "s": "2"}))
    assert session.on_request(ack(cluster)) == []
    sent = session.on_snapshot(snapshot(listener={"l": "1"}, cluster={"a": "1"}, route={"r": "1", "s": "3"}))
    found: dict[str, str] = {}
    while sent:
        response = sent.pop(0)
        found |= {each.name: each.version for each in response.resources if response.type_url == ROUTE}
        sent += session.on_request(ack(response))
    assert found == {"r": "1", "s": "3"}
    assert session.converged(snapshot_of(session))


def test_rejected_route_tables_are_searched_when_no_other_snapshot_comes() -> None:
    """Without another snapshot the good table still arrives, and the bad one is known for certain."""
    session = started(snapshot(listener={"l": "1"}, route={"r": "1", "s": "1"}))
    [tables] = session.on_request(ask(ROUTE, "r", "s"))
    assert session.on_request(nack(tables)) == []
    [first] = session.resume()
    [second] = session.on_request(ack(first))
    session.on_request(nack(second))

    assert session.rejected == {ROUTE: {names(second)[0]: "1"}}
    assert names(first) != names(second)


def test_a_secret_is_not_quoted() -> None:
    """Envoy quotes a resource that breaks a constraint; the quote of a secret is dropped."""
    session = started(snapshot(secret={"s": "1"}))
    [response] = session.on_request(ask(SECRET, "s"))
    session.on_request(nack(response, 'constraint\nprivate_key {\n inline_string: "-----BEGIN PRIVATE KEY"\n}'))

    assert "PRIVATE KEY" not in session.rejections[0].message


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            QUOTE + "}\n: Proto constraint validation failed (A.B: too long | by (C))",
            "Proto constraint validation failed (A.B: too long | by (C))",
        ),
        (
            "Proto constraint validation failed (A.B: too long): " + QUOTE,
            "Proto constraint validation failed (A.B: too long)",
        ),
        (
            QUOTE + "...(truncated)",
            "it breaks a constraint of Envoy's API; Envoy does not say which, because it quotes too much before it",
        ),
        ("Not supported field in StreamInfo: X", "Not supported field in StreamInfo: X"),
    ],
)
def test_other_tenants_text_is_not_quoted(message: str, shown: str) -> None:
    """Envoy quotes every tenant's hosts of a table that breaks a constraint; only the constraint is recorded."""
    session = started(snapshot(listener={"l": "1"}, route={"r": "1"}))
    [response] = session.on_request(ask(ROUTE, "r"))
    session.on_request(nack(response, message))

    assert session.rejections[0].message == shown


def test_a_first_configuration_that_is_rejected_is_not_active() -> None:
    """A listener that was never accepted is missing until the client accepts some version of it."""
    session = Session(snapshot(cluster={"a": "1"}, listener={"l": "bad"}))
    [clusters] = session.on_request(ask(CLUSTER))
    session.on_request(ack(clusters))
    [listeners] = session.on_request(ask(LISTENER))
    session.on_request(nack(listeners, "l: cannot bind"))

    assert session.converged(snapshot_of(session))
    assert not session.active
    assert session.missing() == {LISTENER: ["l"]}

    [listeners] = session.on_snapshot(snapshot(cluster={"a": "1"}, listener={"l": "2"}))
    session.on_request(ack(listeners))

    assert session.active
    assert session.missing() == {}


def test_a_rejected_change_leaves_a_client_active() -> None:
    """The client still runs the version before; the rejected resource is a refusal and not missing."""
    session = started(snapshot(cluster={"a": "1"}, listener={"l": "1"}))
    [listeners] = session.on_snapshot(snapshot(cluster={"a": "1"}, listener={"l": "2"}))
    session.on_request(nack(listeners, "l: no"))

    assert session.active
    assert session.missing() == {}
    assert [dict(refusal.resources) for refusal in session.refusals] == [{"l": "2"}]


def test_a_refusal_ends_with_its_resources() -> None:
    """
    A refusal lasts while all its resources are wanted in the same version, however often the snapshot is
    replaced.
    """
    session = started(snapshot(cluster={"a": "1"}, listener={"l": "1"}))
    [listeners] = session.on_snapshot(snapshot(cluster={"a": "1"}, listener={"l": "2"}))
    session.on_request(nack(listeners, "l: no"))
    session.on_snapshot(snapshot(cluster={"a": "2"}, listener={"l": "2"}))
    assert [refusal.message for refusal in session.refusals] == ["l: no"]

    session.on_snapshot(snapshot(cluster={"a": "2"}, listener={"l": "1"}))

    assert session.refusals == ()


def test_an_answer_about_unwanted_resources_is_no_refusal() -> None:
    """The bad part of an old response may be the one that the new snapshot has replaced."""
    session = started(snapshot(cluster={"a": "1"}, listener={"l": "1"}))
    [listeners] = session.on_snapshot(snapshot(cluster={"a": "1"}, listener={"l": "2"}))
    session.on_snapshot(snapshot(cluster={"a": "1"}, listener={"l": "3"}))

    session.on_request(nack(listeners, "l: no"))

    assert session.refusals == ()


def test_a_refusal_of_many_ends_when_the_client_has_taken_each() -> None:
    """Resources in doubt are sent again in smaller responses; the refusal is then that of the bad part, or none."""
    session = started(snapshot(cluster={"a": "1", "b": "1"}))
    [both] = session.on_snapshot(snapshot(cluster={"a": "2", "b": "2"}))
    [one] = session.on_request(nack(both, "no"))
    assert [sorted(refusal.resources) for refusal in session.refusals] == [["a", "b"]]
    [other] = session.on_request(ack(one))
    session.on_request(nack(other, "bad"))
    assert [(list(refusal.resources), refusal.message) for refusal in session.refusals] == [(names(other), "bad")]

    [again] = session.on_snapshot(snapshot(cluster={"a": "3", "b": "3"}))
    session.on_request(ack(again))

    assert session.refusals == ()


def test_a_rejected_listener_is_offered_again_on_request() -> None:
    """It has not changed, but its address may be free by now."""
    session = started(snapshot(cluster={"a": "1"}, listener={"l": "1"}))
    [listeners] = session.on_snapshot(snapshot(cluster={"a": "1"}, listener={"l": "2"}))
    session.on_request(nack(listeners, "l: cannot bind"))

    [again] = session.retry()
    session.on_request(ack(again))

    assert names(again) == ["l"]
    assert session.refusals == ()
    assert session.rejected == {}
    assert session.retry() == []
