"""One delta xDS stream, message by message."""

from __future__ import annotations

import pytest

from kiteway._proto.envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from kiteway.envoy.ads.session import RESPONSE_BYTES, Session
from kiteway.envoy.ads.snapshot import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, Resource, Snapshot


def resource(name: str, version: str = "1", size: int = 0) -> Resource:
    """Return a resource with a body of so many bytes."""
    return Resource(name, version, (b"x" * size,))


def snapshot(**versions: dict[str, str]) -> Snapshot:
    """Return a snapshot of versions by name, by type: cluster, endpoint, secret, listener, route."""
    kinds = {"cluster": CLUSTER, "endpoint": ENDPOINT, "secret": SECRET, "listener": LISTENER, "route": ROUTE}
    return Snapshot({kinds[k]: [resource(n, v) for n, v in these.items()] for k, these in versions.items()})


def ask(
    kind: str, *names: str, held: dict[str, str] | None = None, drop: tuple[str, ...] = ()
) -> DeltaDiscoveryRequest:
    """Return a request that subscribes and unsubscribes."""
    return DeltaDiscoveryRequest(
        type_url=kind,
        resource_names_subscribe=names,
        resource_names_unsubscribe=drop,
        initial_resource_versions=held or {},
    )


def ack(response: DeltaDiscoveryResponse) -> DeltaDiscoveryRequest:
    """Return the acceptance of a response."""
    return DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)


def nack(response: DeltaDiscoveryResponse, message: str = "no") -> DeltaDiscoveryRequest:
    """Return the rejection of a response."""
    request = ack(response)
    request.error_detail.code = 13
    request.error_detail.message = message
    return request


def names(response: DeltaDiscoveryResponse) -> list[str]:
    """Return the names of the resources in a response."""
    return sorted(item.name for item in response.resources)


def started(target: Snapshot) -> Session:
    """Return a session of a client that holds all clusters and listeners of the target."""
    session = Session(target)
    for kind in (CLUSTER, LISTENER):
        for response in session.on_request(ask(kind)):
            assert session.on_request(ack(response)) == []
    return session


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


def test_nothing_is_removed_before_all_is_asked_for() -> None:
    """
    A reconnecting client subscribes to clusters first: which of them it uses is known only after its first
    answer.
    """
    session = Session(snapshot(cluster={"a": "1"}, route={"r": "2"}))
    [empty] = session.on_request(ask(CLUSTER, held={"a": "1", "gone": "1"}))
    assert not empty.resources
    assert not empty.removed_resources
    [switched] = session.on_request(ask(ROUTE, "r", held={"r": "1"}))
    assert session.on_request(ack(empty)) == []

    [response] = session.on_request(ack(switched))

    assert list(response.removed_resources) == ["gone"]


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


def test_what_does_not_exist_is_said_and_comes_when_it_does() -> None:
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


def test_what_is_no_longer_asked_for_is_forgotten() -> None:
    """A rejection ends when the client unsubscribes, and no record of it is left."""
    session = started(snapshot(cluster={"a": "1"}, endpoint={"a": "1"}))
    [response] = session.on_request(ask(ENDPOINT, "a"))
    session.on_request(nack(response))
    assert session.rejected == {ENDPOINT: {"a": "1"}}

    session.on_request(ask(ENDPOINT, drop=("a",)))

    assert session.rejected == {}


def test_a_changed_cluster_brings_its_endpoints() -> None:
    """
    Envoy warms a changed cluster with endpoints that it does not ask for; they are sent again, also an empty
    list.
    """
    before = snapshot(cluster={"a": "1", "b": "1", "c": "1"}, endpoint={"a": "1", "c": "1"})
    after = snapshot(cluster={"a": "2", "b": "2", "c": "1"}, endpoint={"a": "1", "c": "1"})
    session = started(before)
    [response] = session.on_request(ask(ENDPOINT, "a", "b", "c"))
    session.on_request(ack(response))

    clusters, endpoints = session.on_snapshot(after)

    assert (clusters.type_url, names(clusters)) == (CLUSTER, ["a", "b"])
    assert (endpoints.type_url, names(endpoints), list(endpoints.removed_resources)) == (ENDPOINT, ["a"], ["b"])


def test_make_before_break() -> None:
    """Clusters are sent first, then listeners and routes after those are accepted, then removals."""
    session = started(snapshot(cluster={"a": "1"}, listener={"l": "1"}, route={"r": "1"}))
    [route] = session.on_request(ask(ROUTE, "r"))
    session.on_request(ack(route))

    [made] = session.on_snapshot(snapshot(cluster={"b": "1"}, listener={"l": "1"}, route={"r": "2"}))
    assert (made.type_url, names(made), list(made.removed_resources)) == (CLUSTER, ["b"], [])
    [switched] = session.on_request(ack(made))
    assert (switched.type_url, names(switched)) == (ROUTE, ["r"])
    [broken] = session.on_request(ack(switched))
    assert (broken.type_url, list(broken.removed_resources)) == (CLUSTER, ["a"])


def test_nothing_is_removed_behind_rejected_routes() -> None:
    """If Envoy rejects routes, the old ones stay in force and still refer to the old cluster."""
    session = started(snapshot(cluster={"a": "1"}, listener={"l": "1"}, route={"r": "1"}))
    [route] = session.on_request(ask(ROUTE, "r"))
    session.on_request(ack(route))
    target = snapshot(cluster={"b": "1"}, listener={"l": "1"}, route={"r": "2"})
    [made] = session.on_snapshot(target)
    [switched] = session.on_request(ack(made))

    assert session.on_request(nack(switched)) == []
    assert session.converged(target)


def test_nothing_is_removed_behind_a_draining_listener() -> None:
    """A removed route table to which the client still subscribes belongs to a listener that drains."""
    session = started(snapshot(cluster={"a": "1"}, listener={"l": "1"}, route={"r": "1"}))
    [route] = session.on_request(ask(ROUTE, "r"))
    session.on_request(ack(route))
    [made] = session.on_snapshot(snapshot(cluster={"b": "1"}, listener={"l": "2"}, route={"s": "1"}))
    [switched] = session.on_request(ack(made))
    [new_route] = session.on_request(ask(ROUTE, "s"))
    session.on_request(ack(switched))
    assert session.on_request(ack(new_route)) == []

    [broken] = session.on_request(ask(ROUTE, drop=("r",)))

    assert list(broken.removed_resources) == ["a"]


def test_routes_wait_until_clusters_are_asked_for() -> None:
    """On a new stream Envoy subscribes to clusters only when none is warming; until then it gets no new routes."""
    session = Session(snapshot(cluster={"a": "1"}, listener={"l": "1"}, route={"r": "2"}))
    assert session.on_request(ask(ROUTE, "r", held={"r": "1"})) == []

    [routes] = session.on_request(ask(CLUSTER, held={"a": "1"}))

    assert (routes.type_url, names(routes)) == (ROUTE, ["r"])


def test_a_large_change_goes_in_several_responses() -> None:
    """A response has a maximum size, so that a slow client cannot hold much memory."""
    half = RESPONSE_BYTES // 2
    session = Session(Snapshot({CLUSTER: [resource(name, size=half) for name in "abc"]}))
    [first] = session.on_request(ask(CLUSTER))
    [second] = session.on_request(ack(first))

    assert len(first.resources) == 2
    assert len(second.resources) == 1


def test_an_unserved_type_is_ignored() -> None:
    """A type that is not served costs no memory and gets no answer."""
    session = Session(snapshot())

    assert session.on_request(ask("type.googleapis.com/other", "x")) == []
    assert session._subscriptions == {}


def test_a_secret_is_not_quoted() -> None:
    """Envoy quotes a resource that breaks a constraint; the quote of a secret is dropped."""
    session = started(snapshot(secret={"s": "1"}))
    [response] = session.on_request(ask(SECRET, "s"))
    session.on_request(nack(response, 'constraint\nprivate_key {\n inline_string: "-----BEGIN PRIVATE KEY"\n}'))

    assert "PRIVATE KEY" not in session.rejections[0].message


QUOTE = 'goo.gle/debugproto   \nname: "https"\nvirtual_hosts {\n  name: "ingress/other/tenant"\n'


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
def test_what_others_wrote_is_not_quoted(message: str, shown: str) -> None:
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


def test_a_refusal_ends_with_what_was_refused() -> None:
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


def test_an_answer_to_what_is_no_longer_wanted_is_no_refusal() -> None:
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


def test_a_client_that_reconnects_has_what_it_says_it_holds() -> None:
    """A listener of an older version is bound, too."""
    session = Session(snapshot(cluster={"a": "1"}, listener={"l": "2"}))
    session.on_request(ask(CLUSTER, held={"a": "1"}))
    [listeners] = session.on_request(ask(LISTENER, held={"l": "1"}))
    assert session.missing() == {}

    session.on_request(nack(listeners, "l: no"))

    assert session.active


def test_what_comes_after_clusters_that_are_warming_does_not_wait_for_ever() -> None:
    """Routes, further clusters and removals are sent; the late answer counts."""
    session = started(snapshot(cluster={"a": "1", "old": "1"}, listener={"l": "1"}, route={"r": "1"}))
    [route] = session.on_request(ask(ROUTE, "r"))
    session.on_request(ack(route))
    [slow] = session.on_snapshot(
        snapshot(cluster={"a": "1", "old": "1", "slow": "1"}, listener={"l": "1"}, route={"r": "2"})
    )
    assert session.waits_for_clusters
    [route] = session.assume_clusters()
    assert names(route) == ["r"]
    session.on_request(ack(route))
    target = snapshot(cluster={"a": "1", "slow": "1", "b": "1"}, listener={"l": "1"}, route={"r": "2"})
    [further] = session.on_snapshot(target)
    assert (names(further), list(further.removed_resources)) == (["b"], [])
    assert not session.clusters_answered

    removal = session.on_request(ack(further))
    assert [list(response.removed_resources) for response in removal] == [["old"]]
    session.on_request(ack(removal[0]))
    session.on_request(ack(slow))

    assert session.clusters_answered
    assert session.converged(target)
    assert session.acknowledged[CLUSTER] == target[CLUSTER].version


def test_clusters_that_were_thought_to_be_taken_may_be_rejected_after_all() -> None:
    """The late rejection holds for resources still wanted, and their good part is sent again."""
    session = started(snapshot(cluster={"a": "1"}))
    target = snapshot(cluster={"a": "1", "bad": "1", "good": "1"})
    [both] = session.on_snapshot(target)
    session.assume_clusters()
    [again] = session.on_request(nack(both, "Error adding/updating cluster(s) bad: no"))
    assert names(again) == ["good"]
    [bad] = session.on_request(ack(again))
    session.on_request(nack(bad, "Error adding/updating cluster(s) bad: no"))

    assert session.rejected == {CLUSTER: {"bad": "1"}}
    assert [list(refusal.resources) for refusal in session.refusals] == [["bad"]]
    [mended] = session.on_snapshot(snapshot(cluster={"a": "1", "bad": "2", "good": "1"}))
    session.on_request(ack(mended))
    assert session.refusals == ()


def snapshot_of(session: Session) -> Snapshot:
    """Return the snapshot of a session that has one."""
    assert session.snapshot is not None
    return session.snapshot
