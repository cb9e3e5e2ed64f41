"""
One delta xDS stream as a pure state machine: requests and snapshots in, responses out. No sockets, no clock.

The protocol is Envoy's "xDS REST and gRPC protocol", incremental variant. Each type has at most one response in
flight; what changes meanwhile waits and goes out as one. What the client holds is tracked by resource, so that
nothing is sent that it has, across reconnects too.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from kiteway._proto.envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse

from .phases import Phase
from .rejection import Refusals, Rejection, mentioned, presentable
from .snapshot import CLUSTER, ENDPOINT, LISTENER, ROUTE, TYPES, Resource, ResourceSet, Snapshot
from .subscription import WILDCARD, Batch, Subscription

RESPONSE_BYTES: Final = 4 * 2**20
"""A response is closed when its resources reach this many bytes, so that a slow client cannot hold much memory."""

REJECTIONS: Final = 100
"""So many rejected responses are remembered by a stream, the newest."""

_MADE_FIRST: Final = TYPES[: TYPES.index(LISTENER)]
_SWITCHED: Final = (LISTENER, ROUTE)


class Session:
    """The server's side of one stream."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.snapshot = snapshot
        self.phase = Phase.MAKE
        self.rejections: deque[Rejection] = deque(maxlen=REJECTIONS)
        self.acknowledged: dict[str, str] = {}
        """By type, the version of the target that the client last held whole."""
        self.active = False
        """Whether the client has had a whole configuration: each listener and route table of it, in some version."""
        self.bare = False
        """Whether the client came without any configuration; it says so with its first request."""
        self.waits = False
        """Whether nothing more is sent of a response of several route tables that was rejected, see `resume`."""
        self._subscriptions: dict[str, Subscription] = {}
        self._refusals = Refusals()
        self._warming: set[str] = set()
        self._answered = False
        self._nonce = 0

    def on_request(self, request: DeltaDiscoveryRequest) -> list[DeltaDiscoveryResponse]:
        """Take a request: an answer to a response, a change of interest, or both. Return what to send."""
        if request.type_url not in TYPES:
            return []
        subscription = self._subscriptions.get(request.type_url)
        if subscription is None:
            self.bare = self.bare if self._subscriptions else not request.initial_resource_versions
            target = self.snapshot[request.type_url] if self.snapshot is not None else ResourceSet()
            subscription = self._subscriptions[request.type_url] = Subscription(request.type_url, target)
            held = dict(request.initial_resource_versions)
            if request.type_url == ENDPOINT and CLUSTER not in self._subscriptions:
                # Envoy subscribes to clusters first, unless some of them are warming. A warming cluster needs an answer about
                # its endpoints even if Envoy holds them. The answer that they do not exist is enough, and removes
                # endpoints from no cluster that has them.
                held = {}
            names = list(request.resource_names_subscribe)
            if not names and request.type_url in (CLUSTER, LISTENER):
                names = [WILDCARD]
            subscription.subscribe(names, held)
            self._resend_endpoints()
        else:
            self._on_answer(subscription, request)
            subscription.subscribe(request.resource_names_subscribe, {})
        subscription.unsubscribe(request.resource_names_unsubscribe)
        return self._advance()

    def on_snapshot(self, snapshot: Snapshot) -> list[DeltaDiscoveryResponse]:
        """Take a new target. Return what to send."""
        changes = snapshot.diff(self.snapshot if self.snapshot is not None else Snapshot())
        first = self.snapshot is None
        self.snapshot = snapshot
        self._refusals.retarget(snapshot)
        self.waits = self.waits and ROUTE not in changes
        if changes or first:
            self.phase = Phase.MAKE
        for type_url, subscription in self._subscriptions.items():
            subscription.retarget(snapshot[type_url], changes.get(type_url, ()))
        return self._advance()

    @property
    def rejected(self) -> dict[str, dict[str, str | None]]:
        """By type, the versions by name that this client rejected and that are still wanted."""
        found = {type_url: subscription.rejections() for type_url, subscription in self._subscriptions.items()}
        return {type_url: versions for type_url, versions in found.items() if versions}

    @property
    def refusals(self) -> tuple[Rejection, ...]:
        """The rejections that still hold: the snapshot has each of their resources in the version that was rejected."""
        return self._refusals.standing

    def missing(self) -> dict[str, list[str]]:
        """Return by type the listeners and route tables in use of which the client has accepted no version."""
        found = {
            type_url: self._subscriptions[type_url].missing()
            for type_url in _SWITCHED
            if type_url in self._subscriptions
        }
        return {type_url: names for type_url, names in found.items() if names}

    def retry(self) -> list[DeltaDiscoveryResponse]:
        """Return what to send for another attempt at the rejected listeners: an address that was taken may be free now."""
        if LISTENER in self._subscriptions:
            self._subscriptions[LISTENER].retry()
        return self._advance()

    def resume(self) -> list[DeltaDiscoveryResponse]:
        """
        Search for the bad one of several rejected route tables. Return what to send.

        The search sends them again in halves, and Envoy builds each of them for a quarter of a second with 300 hosts. Usually the
        quarantine publishes other tables at once, so the caller lets it go first.
        """
        self.waits = False
        return self._advance()

    @property
    def waits_for_clusters(self) -> bool:
        """Whether what refers to clusters must wait: the clusters response is unanswered, or the client is starting."""
        clusters = self._subscriptions.get(CLUSTER)
        return clusters is not None and (clusters.in_flight is not None or self.starting)

    @property
    def starting(self) -> bool:
        """Whether listeners are not asked for yet: an Envoy that starts does so when its first clusters are warm."""
        return LISTENER not in self._subscriptions

    @property
    def clusters_answered(self) -> bool:
        """Whether every clusters response is answered."""
        return CLUSTER in self._subscriptions and self._subscriptions[CLUSTER].answered

    def assume_clusters(self) -> list[DeltaDiscoveryResponse]:
        """
        Go on although clusters are warming. Return what to send.

        Envoy leaves the whole clusters response unanswered while one of its clusters waits for an endpoint's first health
        check. Before the call, the caller must make sure that no route of the snapshot leads to a warming cluster.
        """
        if CLUSTER in self._subscriptions:
            self._subscriptions[CLUSTER].assume()
        return self._advance()

    def converged(self, snapshot: Snapshot) -> bool:
        """
        Return whether the client is done with ``snapshot``.

        It has asked for clusters and listeners, and has acknowledged, or rejected, everything it asked for.
        What is gone may still wait for its removal.
        """
        return (
            self.snapshot is snapshot
            and {CLUSTER, LISTENER} <= self._subscriptions.keys()
            and self._settled(TYPES, Phase.SWITCH)
        )

    def _on_answer(self, subscription: Subscription, request: DeltaDiscoveryRequest) -> None:
        batch = subscription.answer(request.response_nonce)
        if batch is None:
            return
        self._answered = True
        if not request.HasField("error_detail"):
            subscription.acknowledge(batch)
            self._refusals.acknowledge(subscription.type_url, batch.versions)
            return
        message = presentable(request.error_detail.message, subscription.type_url)
        named = mentioned(message, batch.versions)
        subscription.reject(batch, named)
        self.waits = self.waits or (subscription.type_url == ROUTE and batch.size > 1 and not named)
        rejection = Rejection(subscription.type_url, batch.nonce, dict(batch.versions), named, batch.size == 1, message)
        self.rejections.append(rejection)
        self._refusals.add(rejection, subscription.target)

    def _resend_endpoints(self) -> None:
        if ENDPOINT in self._subscriptions:
            self._subscriptions[ENDPOINT].resend(self._warming)
            self._warming.clear()

    def _advance(self) -> list[DeltaDiscoveryResponse]:
        """Send what this phase allows; go to the next phase when this one is done."""
        if self.snapshot is None:
            return []
        responses = self._respond_all()
        while self._phase_done():
            if self.phase is Phase.SWITCH and not self._answered and self._pending(TYPES, Phase.BREAK):
                # It is certain which routes the client uses only after it has answered something on this stream,
                # because it sends all its subscriptions first. So it gets an empty response to answer, unless
                # another response is in flight.
                self._subscriptions[CLUSTER].unanswered = True
                responses += self._respond_all()
                break
            self.phase = Phase(self.phase + 1)
            responses += self._respond_all()
        for type_url, subscription in self._subscriptions.items():
            if subscription.settled:
                self.acknowledged[type_url] = subscription.target.version
        self.active = self.active or (self.converged(self.snapshot) and not self.missing())
        return responses

    def _respond_all(self) -> list[DeltaDiscoveryResponse]:
        types = (t for t in TYPES if t != ROUTE or not self.waits)
        ready = [self._subscriptions[t] for t in types if t in self._subscriptions]
        responses = (self._respond(subscription) for subscription in ready if subscription.in_flight is None)
        return [response for response in responses if response is not None]

    def _phase_done(self) -> bool:
        if self.phase is Phase.MAKE:
            # Envoy leaves a clusters response unanswered while any cluster is warming, and on a new stream asks for
            # clusters only then: that is its sign that routes to them may come.
            return CLUSTER in self._subscriptions and self._settled(_MADE_FIRST, Phase.MAKE)
        if self.phase is Phase.SWITCH:
            # A rejected listener or route leaves the last good one in force, and a route table to which the client is
            # still subscribed serves a listener that drains: either may name what would be removed next.
            routes = self._subscriptions.get(ROUTE)
            return (
                self._settled(_SWITCHED, Phase.SWITCH)
                and not self.rejected.keys() & set(_SWITCHED)
                and not (routes is not None and routes.abandoned())
            )
        return False

    def _settled(self, types: tuple[str, ...], phase: Phase) -> bool:
        in_flight = any(self._subscriptions[t].in_flight for t in types if t in self._subscriptions)
        return not in_flight and not self._pending(types, phase)

    def _pending(self, types: tuple[str, ...], phase: Phase) -> bool:
        return any(
            next(self._subscriptions[t].pending(phase), None) is not None for t in types if t in self._subscriptions
        )

    def _respond(self, subscription: Subscription) -> DeltaDiscoveryResponse | None:
        items: dict[str, Resource | None] = {}
        size, limit = 0, None
        for name, resource in subscription.pending(self.phase):
            own = subscription.batch_limit.get(name)
            smallest = own if limit is None else limit if own is None else min(own, limit)
            if smallest is not None and len(items) + 1 > smallest:
                continue
            limit = smallest
            items[name] = resource
            size += resource.size if resource is not None else len(name)
            if size >= RESPONSE_BYTES:
                break
        if not items and not (subscription.unanswered and not self._pending((subscription.type_url,), Phase.SWITCH)):
            return None
        subscription.unanswered = False
        self._nonce += 1
        nonce = str(self._nonce)
        versions = {name: resource.version if resource is not None else None for name, resource in items.items()}
        subscription.in_flight = Batch(nonce, len(items), versions)
        if subscription.type_url == CLUSTER:
            # A changed cluster warms again. Envoy waits for its endpoints without asking for them, for 15 s.
            self._warming.update(name for name, version in versions.items() if version is not None)
            self._resend_endpoints()
        response = DeltaDiscoveryResponse(
            system_version_info=subscription.target.version, type_url=subscription.type_url, nonce=nonce
        )
        for name, resource in items.items():
            if resource is None:
                response.removed_resources.append(name)
            else:
                # An `Any` as an argument would be copied: megabytes for a large table.
                added = response.resources.add(name=name, version=resource.version)
                added.resource.type_url, added.resource.value = subscription.type_url, resource.body
        return response
