"""The context of the translation of one object: the other objects, the options, and its results so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from kiteway.certificates.x509 import CertificateError, CertificateFacts, inspect, read_bundle
from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.model import (
    NO_POLICY,
    Certificate,
    HeaderValue,
    Policy,
    Pool,
    PoolKey,
    TLSProfile,
    TrustBundle,
)
from kiteway.resources import Object, Secret
from kiteway.resources.places import Path
from kiteway.resources.schema import Violation
from kiteway.translate.shared.limits import MOST_CACHE_MEMORY, NamespaceLimits
from kiteway.translate.shared.unit import Key

T = TypeVar("T", bound=Object)


@dataclass(frozen=True, slots=True)
class Options:
    """
    The settings of the translation.

    Attributes:
        ingress_class: Ingresses of this class, or of no class, are translated.
        ssl_policies: the TLS profile of each FrontendConfig ``sslPolicy`` name.
        issued: certificates issued for a ManagedCertificate, by ``namespace/name``.
        namespace_limits: what all objects of a namespace may claim together.
        cache_memory: bytes of memory that the caches of all namespaces may have together.
        http_port: whether Kiteway listens for HTTP without TLS at all.
        with_filter: whether Envoy has Kiteway's filter, which enforces limits and admission and has the caches.
        cache_by_default: whether pools have a cache of which no MilvusPolicy says anything.
        gke: whether to report what goes wrong on GKE only; an instance that is not on GKE reports none of it.
    """

    ingress_class: str = "kiteway"
    ssl_policies: Mapping[str, TLSProfile] = field(default_factory=dict)
    issued: Mapping[str, Certificate] = field(default_factory=dict)
    namespace_limits: NamespaceLimits = field(default_factory=NamespaceLimits)
    cache_memory: int = MOST_CACHE_MEMORY
    with_filter: bool = True
    cache_by_default: bool = False
    http_port: bool = True
    gke: bool = True


PolicyLookup = Callable[[ObjectRef, ObjectRef, PoolKey], Policy]
"""Returns the policy of the routes from an object that claims hosts, to a Service, to a pool of it."""


class Index:
    """
    The objects by kind, namespace and name.

    Attributes:
        objects: those that can be read.
        failed: those that exist but could not be read.
        policy: see `PolicyLookup`; none unless the translator says otherwise.
    """

    def __init__(self, objects: Iterable[Object], failed: Iterable[ObjectRef] = ()) -> None:
        self.objects: dict[Key, Object] = {o.ref: o for o in objects}
        self.failed: frozenset[Key] = frozenset(failed)
        self.policy: PolicyLookup = lambda _owner, _service, _pool: NO_POLICY
        self._inspected: dict[Key, CertificateFacts | CertificateError] = {}
        self._bundles: dict[Key, TrustBundle | CertificateError] = {}

    def inspected(self, secret: Secret) -> CertificateFacts | CertificateError:
        """Return the certificate of a TLS Secret; it is parsed once, however many objects name it."""
        found = self._inspected.get(secret.ref)
        if found is None:
            try:
                found = inspect(bytes(secret.values["tls.crt"]), bytes(secret.values["tls.key"]))
            except CertificateError as error:
                found = error
            self._inspected[secret.ref] = found
        return found

    def bundle(self, secret: Secret) -> TrustBundle | CertificateError:
        """Return the CAs of a Secret with a ``ca.crt``; they are parsed once, however many objects name it."""
        found = self._bundles.get(secret.ref)
        if found is None:
            try:
                found = TrustBundle(read_bundle(bytes(secret.values["ca.crt"])), secret.ref)
            except CertificateError as error:
                found = error
            self._bundles[secret.ref] = found
        return found


@dataclass(frozen=True, slots=True)
class Backend:
    """A pool, and what its BackendConfig and the MilvusPolicies say about the routes that lead to it."""

    pool: Pool
    request_headers: tuple[HeaderValue, ...]
    response_headers: tuple[HeaderValue, ...]
    log_sample_rate: float
    policy: Policy


class Context:
    """
    Collects what the translation of one object yields: diagnostics, pools, and which objects were looked at.

    Attributes:
        owner: the object that claims hosts, such as an Ingress; it reaches into no namespace but its own.
        for_gke: whether the object is meant for GKE too and `Options.gke` asks for what goes wrong there.
    """

    def __init__(self, owner: Object, index: Index, options: Options, *, for_gke: bool) -> None:
        self.owner = owner
        self.for_gke = for_gke and options.gke
        self.options = options
        self.diagnostics: list[Diagnostic] = []
        self.pools: dict[PoolKey, Pool] = {}
        self.backends: dict[PoolKey, Backend | None] = {}
        self.dependencies: dict[Key, None] = {}
        self._index = index

    def get(self, kind: type[T], namespace: str, name: str) -> T | None:
        """Return an object, and record it as a dependency."""
        key = (kind.__name__, namespace, name)
        found = self._index.objects.get(key)
        self.dependencies[key] = None
        return found if isinstance(found, kind) else None

    def policy_to(self, service: ObjectRef, pool: PoolKey) -> Policy:
        """Return the combined policy for routes from the owner (an Ingress) to this pool."""
        return self._index.policy(self.owner.ref, service, pool)

    def inspected(self, secret: Secret) -> CertificateFacts | CertificateError:
        """Return the certificate of a TLS Secret, or why it cannot be served."""
        return self._index.inspected(secret)

    def bundle(self, secret: Secret) -> TrustBundle | CertificateError:
        """Return the CAs of a Secret, or why they cannot be read."""
        return self._index.bundle(secret)

    def unreadable(self, kind: type[Object], namespace: str, name: str) -> bool:
        """Return whether the object exists but has errors, which are reported already."""
        return (kind.__name__, namespace, name) in self._index.failed

    def why_missing(self, kind: type[Object], namespace: str, name: str) -> tuple[str, str]:
        """Return what is wrong where `get` returned None, and what to do about it."""
        subject = f"the {kind.__name__} {namespace}/{name}"
        if self.unreadable(kind, namespace, name):
            return f"{subject} has errors of its own.", "Correct them."
        return f"{subject} does not exist.", f"Create it in the namespace {namespace}, or correct the name."

    def report(self, diagnostic: Diagnostic) -> None:
        """Add a diagnostic."""
        self.diagnostics.append(diagnostic)

    def error(
        self,
        about: Object,
        reason: str,
        message: str,
        fix: str,
        path: Path,
        *,
        missing: tuple[type[Object], str, str] | None = None,
    ) -> None:
        """Report what GKE refuses; ``missing`` is the kind, the namespace and the name of an object that was not found."""
        found = about.diagnostic(Severity.ERROR, reason, message, fix, path)
        if missing is not None and not self.unreadable(*missing):
            kind, namespace, name = missing
            found = dataclasses.replace(found, missing=ObjectRef(kind.KIND, namespace, name))
        self.report(found)

    def note(self, about: Object, reason: str, message: str, fix: str, path: Path) -> None:
        """Report what works as it is, and may surprise."""
        self.report(about.diagnostic(Severity.NOTE, reason, message, fix, path))

    def warn(self, about: Object, reason: str, message: str, fix: str, path: Path) -> None:
        """Report what GKE accepts but should be changed, or what has another effect here."""
        self.report(about.diagnostic(Severity.WARNING, reason, message, fix, path))

    def trap(self, about: Object, reason: str, message: str, fix: str, path: Path) -> None:
        """Report what goes wrong on GKE only, unless `for_gke` is false."""
        if self.for_gke:
            self.warn(about, reason, message, fix, path)

    def refuse(self, about: Object, violation: Violation, path: Path) -> None:
        """Report an annotation whose value could not be read."""
        message = f"{path[-1]} {violation.message}"
        self.report(about.diagnostic(violation.severity, violation.reason, message, violation.fix, path))
