"""What one Ingress means on its own."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.model import Certificate, ClientAuth, HTTPMode, Pool, RedirectCode, Route, TLSProfile
from kiteway.resources import Object

Key = tuple[str, str, str]
"""Kind, namespace, name."""


@dataclass(frozen=True, slots=True)
class HostClaim:
    """
    A host that an Ingress wants.

    Attributes:
        domain: see `kiteway.model.VirtualHost`.
        routes: in the order they are tried.
        index: the rule's index, None for the default backend; where the diagnostic about it points to.
    """

    domain: str
    routes: tuple[Route, ...]
    index: int | None


@dataclass(frozen=True, slots=True)
class Unit:
    """
    One Ingress, translated.

    Attributes:
        ingress: the object; claims are settled by its age.
        hosts: what it wants to serve.
        pools: what its routes name.
        certificates: what it lists, in its order; the first is its default.
        http: what port 80 does for its hosts.
        redirect_code: set with `HTTPMode.REDIRECT`, and only with it.
        profile: the TLS profile; None is none in particular.
        client_auth: how clients show who they are; None asks for nothing, or for what cannot be verified now.
        certificate_required: whether only clients with a certificate may be served; without ``client_auth`` nobody is.
        diagnostics: everything found on the way.
        dependencies: the objects that were looked at, also those that were not there.
        retained: this is the last good form of an Ingress that has errors now.
        failed: whether GKE would have refused it.
    """

    ingress: Object
    hosts: tuple[HostClaim, ...]
    pools: tuple[Pool, ...]
    certificates: tuple[Certificate, ...]
    http: HTTPMode
    redirect_code: RedirectCode | None
    profile: TLSProfile | None
    diagnostics: tuple[Diagnostic, ...]
    dependencies: tuple[Key, ...]
    client_auth: ClientAuth | None = None
    certificate_required: bool = False
    retained: bool = False
    failed: bool = field(init=False)

    def __post_init__(self) -> None:
        """See once whether it failed."""
        object.__setattr__(self, "failed", any(d.severity is Severity.ERROR for d in self.diagnostics))

    @property
    def ref(self) -> ObjectRef:
        """The Ingress."""
        return self.ingress.ref

    @property
    def https(self) -> bool:
        """Whether port 443 serves it: not before there is a certificate."""
        return bool(self.certificates)


_NO_TIME = dt.datetime.max.replace(tzinfo=dt.UTC)


Age = tuple[dt.datetime, str, str]


def age_of(ingress: Object) -> Age:
    """Sort key: the oldest first; objects from files have no age and go by name."""
    return (ingress.metadata.creation_timestamp or _NO_TIME, ingress.ref.namespace, ingress.ref.name)


def age(unit: Unit) -> Age:
    """Sort key of a unit: the age of its Ingress."""
    return age_of(unit.ingress)
