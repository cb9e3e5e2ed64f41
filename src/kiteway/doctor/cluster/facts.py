"""The facts that a cluster shows about a Milvus release, as values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kiteway.diagnostics import Diagnostic, ObjectRef
from kiteway.doctor.address import AddressFacts
from kiteway.doctor.manifests import Manifests
from kiteway.gke.live import Release
from kiteway.probe.dns import DnsResult
from kiteway.probe.result import Reason
from kiteway.resources import Ingress, Service
from kiteway.resources import annotations as keys
from kiteway.resources.annotations import Neg
from kiteway.translate.ingress.classes import GOOGLE_CLASSES

NEG_GATE = "cloud.google.com/load-balancer-neg-ready"
"""The condition that Google's controller sets in a Pod (ingress-gce pkg/neg/types/shared)."""
HELM_RELEASE = "Helm release"
"""The name in a report for what a forbidden list of Secrets hides: the release's values."""

_ELSEWHERE = frozenset({Reason.CONNECT_TIMEOUT, Reason.UNREACHABLE, Reason.CONNECTION_FAILED})


@dataclass(frozen=True, slots=True)
class Unread:
    """
    An object or kind that could not be read.

    Attributes:
        kind: what it is, such as ``Secret``.
        name: of one object; empty for all of the kind.
        why: the API server's own words.
    """

    kind: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Written:
    """The last writer of a field and the time, as far as managedFields record them."""

    by: str
    at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Google's readiness gate in a Pod: the condition's status, reason and message; empty before it is set."""

    status: str = ""
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """
    A Pod behind a Service.

    Attributes:
        ref: its identity.
        labels: its labels.
        created: when.
        ready: its Ready condition.
        gate: Google's readiness gate; None if the Pod has none.
        pre_stop: whether a container does something before it is stopped.
        grace: ``terminationGracePeriodSeconds``.
    """

    ref: ObjectRef
    labels: Mapping[str, str]
    created: dt.datetime
    ready: bool = True
    gate: Gate | None = None
    pre_stop: bool = False
    grace: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """
    A PodDisruptionBudget.

    Attributes:
        ref: its identity.
        labels: ``matchLabels`` of its selector.
        allowed: how many Pods may be evicted now.
        expected: how many Pods it counts.
    """

    ref: ObjectRef
    labels: Mapping[str, str]
    allowed: int
    expected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesEvent:
    """
    An Event of the cluster.

    Attributes:
        about: the object.
        warning: whether its type is Warning.
        reason: a word, such as ``Sync``.
        message: a sentence.
        at: when it was last seen.
    """

    about: ObjectRef
    warning: bool
    reason: str
    message: str
    at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """
    The facts that a cluster shows about one Milvus release.

    Attributes:
        now: when it was read.
        server: the API server.
        namespace: where.
        name: of the release.
        problem: why the API server could not be reached; empty if it could.
        unread: objects and kinds that may not be read.
        gke: whether it is a GKE cluster.
        manifests: the live objects that belong to the release, and the translation's diagnostics.
        instances: the releases that Services of the namespace belong to.
        release: the Helm release; None if there is none, or it may not be read.
        addresses: the Ingresses' addresses.
        backends: the health of an Ingress's backends, as its controller wrote it.
        issued: the names at Google of the certificates of the namespace's ManagedCertificates.
        neg_written: the last writer of a Service's NEG annotation.
        pods: all Pods of the namespace that run or should run.
        budgets: all PodDisruptionBudgets of the namespace.
        events: the Events about objects of the release, the newest first.
        classes: the controllers of the IngressClasses.
        no_endpoints: Services without an endpoint that is ready.
        dns: what the hosts of Ingresses and the domains of ManagedCertificates resolve to.
        fronts: the probes of the Ingresses' addresses.
        backs: the probes of the endpoints behind them.
    """

    now: dt.datetime
    server: str
    namespace: str
    name: str
    problem: str = ""
    unread: tuple[Unread, ...] = ()
    gke: bool = False
    manifests: Manifests = field(default_factory=lambda: Manifests((), ()))
    instances: tuple[str, ...] = ()
    release: Release | None = None
    addresses: Mapping[ObjectRef, str] = field(default_factory=dict)
    backends: Mapping[ObjectRef, str] = field(default_factory=dict)
    issued: frozenset[str] = frozenset()
    neg_written: Mapping[ObjectRef, Written] = field(default_factory=dict)
    pods: tuple[Pod, ...] = ()
    budgets: tuple[Budget, ...] = ()
    events: tuple[KubernetesEvent, ...] = ()
    classes: Mapping[str, str] = field(default_factory=dict)
    no_endpoints: tuple[Diagnostic, ...] = ()
    dns: Mapping[str, DnsResult] = field(default_factory=dict)
    fronts: tuple[AddressFacts, ...] = ()
    backs: tuple[AddressFacts, ...] = ()

    @property
    def ref(self) -> ObjectRef:
        """The cluster's identity in a report."""
        return ObjectRef("Cluster", "", self.server)

    @property
    def release_ref(self) -> ObjectRef:
        """The release's identity in a report."""
        return ObjectRef("HelmRelease", self.namespace, self.name)

    @property
    def unread_kinds(self) -> frozenset[str]:
        """The kinds of which some object may not be read."""
        return frozenset(each.kind for each in self.unread)

    def is_googles(self, ingress: Ingress) -> bool:
        """Tell whether an Ingress is for Google's controller."""
        annotated = ingress.metadata.annotations.get(keys.INGRESS_CLASS)
        if annotated:
            return annotated in GOOGLE_CLASSES
        return self.gke and ingress.spec.ingress_class_name is None

    def ingresses(self) -> Iterator[Ingress]:
        """Yield the Ingresses."""
        return self.manifests.of(Ingress)

    def services(self) -> tuple[Service, ...]:
        """Return the Services that Ingresses lead to, each once."""
        return tuple({service.ref: service for _, service, _ in self.manifests.backends()}.values())

    def googles_services(self) -> tuple[Service, ...]:
        """Return the Services whose endpoints Google's balancer reaches directly, by NEGs."""
        backends = self.manifests.backends()
        found = {service.ref: service for ingress, service, _ in backends if self.is_googles(ingress)}
        return tuple(service for service in found.values() if has_neg(service))

    def pods_of(self, service: Service) -> tuple[Pod, ...]:
        """Return the Pods that a Service selects."""
        selector = service.spec.selector
        if not selector:
            return ()
        return tuple(pod for pod in self.pods if selector.items() <= pod.labels.items())

    def events_of(self, ref: ObjectRef) -> Iterator[KubernetesEvent]:
        """Yield the Events about an object, the newest first."""
        return (event for event in self.events if event.about == ref)

    def age(self, at: dt.datetime | None) -> dt.timedelta:
        """Return how long ago ``at`` was; zero if it is not known."""
        return self.now - at if at is not None else dt.timedelta()


def is_seen(back: AddressFacts) -> bool:
    """Return whether an endpoint can be reached from here; one that refuses a connection can."""
    return back.tcp is not None and (back.tcp.failure is None or back.tcp.failure.reason not in _ELSEWHERE)


def has_neg(service: Service) -> bool:
    """Tell whether the endpoints of a Service are reached directly."""
    found = keys.parse_neg(service.metadata.annotations.get(keys.NEG, "{}"))
    return isinstance(found, Neg) and (found.ingress or bool(found.exposed_ports))


def minutes(age: dt.timedelta) -> str:
    """Write an age: ``12 minutes``, ``5 hours``, ``3 days``."""
    whole = int(age.total_seconds() // 60)
    for size, unit in ((2 * 24 * 60, "days"), (2 * 60, "hours")):
        if whole >= size:
            return f"{whole // (size // 2)} {unit}"
    return f"{whole} minute{'' if whole == 1 else 's'}"
