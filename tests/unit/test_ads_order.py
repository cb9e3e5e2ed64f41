"""The order in which a delta xDS stream sends changes."""

from __future__ import annotations

from kiteway.envoy.ads.session import RESPONSE_BYTES, Session
from kiteway.envoy.ads.snapshot import CLUSTER, ENDPOINT, ROUTE, Snapshot
from tests.support.ads_session import ack, ask, nack, names, resource, snapshot, started


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


def test_later_phases_do_not_wait_for_ever_for_warming_clusters() -> None:
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
