"""A model of Envoy against the session: any order of ACK, NACK, reconnect and change ends in the newest snapshot."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kiteway._proto.envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from kiteway.envoy.ads.session import Session
from kiteway.envoy.ads.snapshot import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, TYPES, Resource, Snapshot
from tests.support.examples import examples

STEPS = 2000
"""More messages than any change needs; who sends more never ends."""


def resource(name: str, **content: Any) -> Resource:
    """Return a resource whose version is its content. ``bad`` says how Envoy rejects it."""
    text = json.dumps(content, sort_keys=True)
    return Resource(name, text, (text.encode(),))


def content(version: str) -> dict[str, Any]:
    """Return the content of a resource of this version."""
    found: dict[str, Any] = json.loads(version)
    return found


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Draw a consistent configuration: what is named exists. Only the cluster p, which no route names, may be bad."""
    bad = st.sampled_from([None, None, None, "apply", "decode"])
    names = draw(st.lists(st.sampled_from("abc"), min_size=1, unique=True))
    clusters = [resource(name, value=draw(st.integers(0, 1)), bad=None) for name in names]
    if draw(st.booleans()):
        clusters.append(resource("p", value=draw(st.integers(0, 1)), bad=draw(bad)))
    endpoints = [
        resource(cluster.name, value=draw(st.integers(0, 2)), bad=draw(bad))
        for cluster in clusters
        if cluster.name != "p" or draw(st.booleans())
    ]
    routes = [
        resource(name, clusters=draw(st.lists(st.sampled_from(names), min_size=1, unique=True)), bad=draw(bad))
        for name in draw(st.lists(st.sampled_from(["r1", "r2"]), min_size=1, unique=True))
    ]
    secrets = [resource(name, value=draw(st.integers(0, 1)), bad=draw(bad)) for name in ("s1", "s2")]
    listeners = [
        resource(
            name,
            route=draw(st.sampled_from([route.name for route in routes])),
            secret=draw(st.sampled_from(["s1", "s2"])),
            bad=draw(bad),
        )
        for name in draw(st.lists(st.sampled_from(["l1", "l2"]), unique=True))
    ]
    return Snapshot({CLUSTER: clusters, ENDPOINT: endpoints, SECRET: secrets, LISTENER: listeners, ROUTE: routes})


class Client:
    """
    What Envoy does, as far as the server can tell.

    ``applied`` is what is in force, ``reported`` what it claims after a reconnect: a rejected response changes
    nothing in the latter even where parts of it were applied. Both outlive a stream.
    """

    def __init__(self) -> None:
        self.applied: dict[str, dict[str, str]] = {kind: {} for kind in TYPES}
        self.reported: dict[str, dict[str, str]] = {kind: {} for kind in TYPES}
        self.wanted: dict[str, set[str]] = {ENDPOINT: set(), ROUTE: set(), SECRET: set()}
        self.draining: list[str] = []
        self.warming: set[str] = set()
        self.new: set[str] = set()
        self.has_clusters = False
        self.initialised = False
        self.connect(with_versions=False)

    def connect(self, *, with_versions: bool) -> None:
        """Open a stream, and ask for everything anew."""
        self.inbox: deque[DeltaDiscoveryResponse] = deque()
        self.outbox: deque[DeltaDiscoveryRequest] = deque()
        self.asked: set[str] = set()
        self.with_versions = with_versions
        self.clusters_answer: DeltaDiscoveryRequest | None = None
        self._ask()

    def _ask(self) -> None:
        """Send the first request of each type that is due. Clusters are asked for only when all are warm."""
        due = [CLUSTER] if not self.warming else []
        due += [kind for kind, names in self.wanted.items() if names]
        due += [LISTENER] if self.initialised else []
        for kind in due:
            if kind not in self.asked:
                self.asked.add(kind)
                request = DeltaDiscoveryRequest(
                    type_url=kind, resource_names_subscribe=sorted(self.wanted.get(kind, ()))
                )
                if self.with_versions:
                    request.initial_resource_versions.update(self.reported[kind])
                self.outbox.append(request)

    def _want(self, kind: str, names: set[str]) -> None:
        added, gone = names - self.wanted[kind], self.wanted[kind] - names
        self.wanted[kind] = names
        for name in gone:
            self.applied[kind].pop(name, None)
            self.reported[kind].pop(name, None)
        if kind not in self.asked:
            self._ask()
        elif added or gone:
            self.outbox.append(
                DeltaDiscoveryRequest(
                    type_url=kind,
                    resource_names_subscribe=sorted(added),
                    resource_names_unsubscribe=sorted(gone),
                )
            )

    def want(self) -> None:
        """Ask for what clusters and listeners name; a listener that drains still counts."""
        self._want(ENDPOINT, set(self.applied[CLUSTER]))
        serving = [content(version) for version in [*self.applied[LISTENER].values(), *self.draining]]
        self._want(ROUTE, {listener["route"] for listener in serving})
        self._want(SECRET, {listener["secret"] for listener in serving})

    def drained(self) -> None:
        """Let the old listeners go."""
        self.draining = []
        self.want()

    def process(self) -> None:
        """Take the oldest response."""
        response = self.inbox.popleft()
        kind = response.type_url
        added = {item.name: item.version for item in response.resources}
        bad = {name: content(version)["bad"] for name, version in added.items() if content(version)["bad"]}
        answer = DeltaDiscoveryRequest(type_url=kind, response_nonce=response.nonce)
        if bad:
            answer.error_detail.code = 13
            names = ", ".join(f"{name}: bad" for name in sorted(bad))
            answer.error_detail.message = f"Error adding/updating {names}" if kind in (CLUSTER, LISTENER) else "bad"
        if "decode" not in bad.values():
            taken = dict(added)
            if kind in (CLUSTER, LISTENER):
                taken = {name: version for name, version in added.items() if name not in bad}
            elif bad:
                first = min(list(added).index(name) for name in bad)
                taken = dict(list(added.items())[:first])
            self._apply(
                kind, taken, [] if bad and kind not in (CLUSTER, LISTENER) else list(response.removed_resources)
            )
        if not bad:
            wanted = (
                added if kind in (CLUSTER, LISTENER) else {n: v for n, v in added.items() if n in self.wanted[kind]}
            )
            self.reported[kind].update(wanted)
            for name in response.removed_resources:
                self.reported[kind].pop(name, None)
        if kind == ENDPOINT and bad:
            self._warm(set(self.warming))
        if kind == CLUSTER:
            self.has_clusters = True
            self.clusters_answer = answer
        else:
            self.outbox.append(answer)
        self._answer_clusters()

    def _apply(self, kind: str, taken: dict[str, str], removed: list[str]) -> None:
        for name in removed if kind in (CLUSTER, LISTENER) else ():
            old = self.applied[kind].pop(name, None)
            if kind == LISTENER and old:
                self.draining.append(old)
            self._warm({name} if kind == CLUSTER else set())
        for name, version in taken.items():
            old = self.applied[kind].get(name)
            if kind in self.wanted and name not in self.wanted[kind]:
                continue
            if kind == CLUSTER and old != version:
                self.warming.add(name)
                if old is None:
                    self.new.add(name)
            if kind == LISTENER and old is not None and old != version:
                self.draining.append(old)
            self.applied[kind][name] = version
        if kind == ENDPOINT:
            self._warm({*taken, *removed})
        self.want()

    def _warm(self, names: set[str]) -> None:
        self.warming -= names
        self.new -= names

    def _answer_clusters(self) -> None:
        """Answer the clusters response once no cluster is warming; the first answer does not wait."""
        if self.clusters_answer is not None and (not self.warming or not self.initialised):
            self.outbox.append(self.clusters_answer)
            self.clusters_answer = None
        if not self.warming:
            # On whichever stream the clusters came: one that breaks while they warm delays listeners, and no more.
            self.initialised = self.initialised or self.has_clusters
        self._ask()


class Convergence(RuleBasedStateMachine):
    """The rules: publish, carry a message, drop the stream, restart Envoy, end a drain, settle."""

    def __init__(self) -> None:
        super().__init__()
        self.snapshot: Snapshot | None = None
        self.session = Session()
        self.client = Client()
        self.unanswered: dict[str, set[str]] = defaultdict(set)
        self.kept: dict[str, set[str]] = {kind: set() for kind in TYPES}

    def _send(self, responses: list[DeltaDiscoveryResponse]) -> None:
        for response in responses:
            self.unanswered[response.type_url].add(response.nonce)
            self.client.inbox.append(response)

    @rule(snapshot=snapshots())
    def publish(self, snapshot: Snapshot) -> None:
        """A new configuration."""
        self.snapshot = snapshot
        for kind, names in self.kept.items():
            names &= set(snapshot[kind])
        self._send(self.session.on_snapshot(snapshot))

    @precondition(lambda self: self.client.outbox)
    @rule()
    def deliver(self) -> None:
        """A request arrives."""
        request = self.client.outbox.popleft()
        self.unanswered[request.type_url].discard(request.response_nonce)
        self._send(self.session.on_request(request))

    @precondition(lambda self: self.client.inbox)
    @rule()
    def process(self) -> None:
        """A response arrives."""
        self.client.process()

    @rule()
    def drained(self) -> None:
        """Draining ends."""
        self.client.drained()

    @precondition(lambda self: self.session.waits)
    @rule()
    def resume(self) -> None:
        """Rejected route tables have waited for another snapshot long enough."""
        self._send(self.session.resume())

    def _in_doubt(self) -> bool:
        """Whether parts of a rejected response are in force; Envoy reports older versions of them than it runs."""
        return self.client.applied != self.client.reported

    @precondition(lambda self: not self._in_doubt())
    @rule()
    def reconnect(self) -> None:
        """The stream breaks, with everything that was under way on it."""
        self.session = Session(self.snapshot)
        self.unanswered.clear()
        self.client.connect(with_versions=True)

    @rule()
    def restart(self) -> None:
        """Envoy is started anew and holds nothing."""
        self.session = Session(self.snapshot)
        self.unanswered.clear()
        self.client = Client()
        self.kept = {kind: set() for kind in TYPES}

    @precondition(lambda self: self.snapshot is not None)
    @rule()
    def settle(self) -> None:
        """Left alone, the client ends with the newest snapshot, but for what it rejects."""
        assert self.snapshot is not None
        for _ in range(STEPS):
            if self.client.inbox:
                self.process()
            elif self.client.outbox:
                self.deliver()
            elif self.client.draining:
                self.client.drained()
            elif self.session.waits:
                self.resume()
            else:
                break
            self.one_response_in_flight()
            self.routes_reach_clusters()
        assert not self.client.inbox, "no end to the messages"
        assert not self.client.outbox, "no end to the messages"
        assert self.session.converged(self.snapshot)
        for kind in TYPES:
            self._assert_settled(kind)
        again = Snapshot({kind: list(these.values()) for kind, these in self.snapshot.items()})
        assert self.session.on_snapshot(again) == []
        self.snapshot = again
        if not self._in_doubt() and not self.session.rejected:
            self.reconnect()
            while self.client.outbox:
                self.deliver()
            # What it asks for and does not have is answered anew: that it does not exist.
            held = self.client.reported
            for response in self.client.inbox:
                assert not response.resources, "sent what the client has"
                assert not held[response.type_url].keys() & set(response.removed_resources)

    def _assert_settled(self, kind: str) -> None:
        assert self.snapshot is not None
        target, applied = self.snapshot[kind], self.client.applied[kind]
        wanted = self.client.wanted.get(kind, set(target))
        for name in wanted & set(target):
            if not content(target[name].version)["bad"]:
                assert applied.get(name) == target[name].version
            else:
                assert self.session.rejected[kind][name] == target[name].version
                if name in self.kept[kind]:
                    assert name in applied, "the last good version is lost"
        extra = set(applied) - set(target)
        held_back = kind != LISTENER and self.session.rejected.keys() & {LISTENER, ROUTE}
        if kind == LISTENER or (kind == CLUSTER and not held_back):
            assert not extra
        self.kept[kind] = set(applied) & wanted

    @invariant()
    def one_response_in_flight(self) -> None:
        """Never are two responses of a type unanswered."""
        assert all(len(nonces) <= 1 for nonces in self.unanswered.values())

    @invariant()
    def routes_reach_clusters(self) -> None:
        """Every cluster that a route in force names is there, and not warming for the first time."""
        for version in self.client.applied[ROUTE].values():
            for name in content(version)["clusters"]:
                assert name in self.client.applied[CLUSTER]
                assert name not in self.client.new


TestConvergence = pytest.mark.timeout(300)(Convergence.TestCase)
TestConvergence.settings = settings(examples(150), stateful_step_count=40)
