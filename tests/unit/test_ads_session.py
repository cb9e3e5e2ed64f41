"""One delta xDS stream, message by message."""

from __future__ import annotations

from kiteway._proto.envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest
from kiteway.envoy.ads.session import Session
from kiteway.envoy.ads.snapshot import CLUSTER, ENDPOINT, LISTENER
from tests.support.ads_session import ack, ask, nack, names, snapshot, started


def test_an_empty_first_request_asks_for_everything() -> None:
    """The legacy wildcard: a first request for clusters without names subscribes to all."""
    [response] = Session(snapshot(cluster={"a": "1", "b": "1"})).on_request(ask(CLUSTER))

    assert names(response) == ["a", "b"]


def test_an_empty_configuration_is_answered() -> None:
    """Envoy waits for a first answer, so an empty configuration is answered too, once."""
    session = Session(snapshot())
    [response] = session.on_request(ask(CLUSTER))

    assert not response.resources
    assert session.on_request(ack(response)) == []


def test_an_explicit_wildcard_can_be_given_up() -> None:
    """After unsubscribing from ``*`` only named resources are sent."""
    session = Session(snapshot(cluster={"a": "1", "b": "1"}))
    [response] = session.on_request(ask(CLUSTER, "*", "a"))
    session.on_request(ack(response))
    session.on_request(ask(CLUSTER, drop=("*",)))
    [response] = session.on_snapshot(snapshot(cluster={"a": "2", "b": "2"}))

    assert names(response) == ["a"]


def test_nothing_is_sent_before_there_is_a_snapshot() -> None:
    """A client that connects early waits, and gets the first snapshot."""
    session = Session()

    assert session.on_request(ask(CLUSTER)) == []
    assert [names(r) for r in session.on_snapshot(snapshot(cluster={"a": "1"}))] == [["a"]]


def test_a_client_is_bare_that_comes_without_anything() -> None:
    """Its first request says so, and no later one of another type."""
    new, again = Session(snapshot()), Session(snapshot())
    assert not new.bare
    new.on_request(ask(CLUSTER))
    again.on_request(ask(CLUSTER, held={"a": "1"}))
    assert (new.bare, again.bare) == (True, False)
    new.on_request(ask(LISTENER, held={"l": "1"}))
    again.on_request(ask(LISTENER))
    assert (new.bare, again.bare) == (True, False)


def test_a_reconnecting_client_gets_the_difference_only() -> None:
    """
    With initial_resource_versions only changes are sent; removed resources are removed once nothing refers to
    them.
    """
    session = Session(snapshot(cluster={"a": "1", "b": "2"}, listener={"l": "1"}))
    [response] = session.on_request(ask(CLUSTER, held={"a": "1", "b": "1", "gone": "1"}))
    assert (names(response), list(response.removed_resources)) == (["b"], [])
    assert session.on_request(ask(LISTENER, held={"l": "1"})) == []

    [response] = session.on_request(ack(response))

    assert (names(response), list(response.removed_resources)) == ([], ["gone"])


def test_a_cluster_that_warms_across_a_reconnect_gets_its_endpoints() -> None:
    """
    Envoy subscribes to clusters first, unless some are warming; these get their endpoints even if Envoy says
    it has them.
    """
    session = Session(snapshot(cluster={"a": "2"}, endpoint={"a": "1"}))
    [response] = session.on_request(ask(ENDPOINT, "a", "gone", held={"a": "1", "gone": "1"}))
    assert (names(response), list(response.removed_resources)) == (["a"], ["gone"])

    session = Session(snapshot(cluster={"a": "2"}, endpoint={"a": "1"}))
    assert session.on_request(ask(CLUSTER, held={"a": "2"})) == []
    assert session.on_request(ask(ENDPOINT, "a", held={"a": "1"})) == []


def test_changes_during_flight_coalesce() -> None:
    """Changes that come while a response is in flight are sent as one response after the answer."""
    session = Session(snapshot(cluster={"a": "1"}))
    [response] = session.on_request(ask(CLUSTER))
    assert session.on_snapshot(snapshot(cluster={"a": "2"})) == []
    assert session.on_snapshot(snapshot(cluster={"a": "3", "b": "1"})) == []

    [response] = session.on_request(ack(response))

    assert {item.name: item.version for item in response.resources} == {"a": "3", "b": "1"}


def test_a_stale_nonce_answers_nothing() -> None:
    """Only the nonce of the response in flight counts as an answer."""
    session = Session(snapshot(cluster={"a": "1"}))
    session.on_request(ask(CLUSTER))
    session.on_snapshot(snapshot(cluster={"a": "2"}))

    assert session.on_request(DeltaDiscoveryRequest(type_url=CLUSTER, response_nonce="other")) == []


def test_missing_resources_are_answered_and_sent_later() -> None:
    """A subscribed name that does not exist is answered as removed, and sent when it appears."""
    session = started(snapshot(cluster={"a": "1"}))
    [response] = session.on_request(ask(ENDPOINT, "a"))
    assert list(response.removed_resources) == ["a"]
    assert session.on_request(ack(response)) == []

    [response] = session.on_snapshot(snapshot(cluster={"a": "1"}, endpoint={"a": "1"}))

    assert names(response) == ["a"]


def test_a_name_asked_for_again_is_sent_again() -> None:
    """A client that subscribes again may have lost the resource; unsubscribing alone causes no response."""
    session = started(snapshot(cluster={"a": "1"}, endpoint={"a": "1"}))
    [response] = session.on_request(ask(ENDPOINT, "a"))
    session.on_request(ack(response))
    assert session.on_request(ask(ENDPOINT, drop=("a",))) == []

    assert [names(r) for r in session.on_request(ask(ENDPOINT, "a"))] == [["a"]]


def test_a_rejection_ends_with_the_subscription() -> None:
    """A rejection ends when the client unsubscribes, and no record of it is left."""
    session = started(snapshot(cluster={"a": "1"}, endpoint={"a": "1"}))
    [response] = session.on_request(ask(ENDPOINT, "a"))
    session.on_request(nack(response))
    assert session.rejected == {ENDPOINT: {"a": "1"}}

    session.on_request(ask(ENDPOINT, drop=("a",)))

    assert session.rejected == {}


def test_an_unserved_type_is_ignored() -> None:
    """A type that is not served costs no memory and gets no answer."""
    session = Session(snapshot())

    assert session.on_request(ask("type.googleapis.com/other", "x")) == []
    assert session._subscriptions == {}


def test_a_client_that_reconnects_has_what_it_says_it_holds() -> None:
    """A listener of an older version is bound, too."""
    session = Session(snapshot(cluster={"a": "1"}, listener={"l": "2"}))
    session.on_request(ask(CLUSTER, held={"a": "1"}))
    [listeners] = session.on_request(ask(LISTENER, held={"l": "1"}))
    assert session.missing() == {}

    session.on_request(nack(listeners, "l: no"))

    assert session.active
