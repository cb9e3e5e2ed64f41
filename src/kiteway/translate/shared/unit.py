"""What one object that claims hosts, such as an Ingress, means on its own."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import NamedTuple

from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.model import Certificate, ClientAuth, HTTPMode, Pool, RedirectCode, Route, TLSProfile
from kiteway.resources import Object
from kiteway.resources.places import Path, dotted

Key = tuple[str, str, str]
"""Kind, namespace, name."""

ANY_HOST = "*"
"""The domain of a claim on all hosts that nobody else claims."""


class Claimant(NamedTuple):
    """
    The object and the field that claim a host.

    Attributes:
        owner: the object, such as an Ingress.
        field: where it says so: ``spec.rules[0].host``.
    """

    owner: ObjectRef
    field: Path

    def __str__(self) -> str:
        return f"{self.owner} ({dotted(self.field)})"


@dataclass(frozen=True, slots=True)
class HostClaim:
    """
    A host that an object wants.

    Attributes:
        domain: see `kiteway.model.VirtualHost`.
        routes: in the order they are tried.
        claimant: the owner of the unit, and its field.
        fallback: the unit needs it only for what its other hosts leave over, so losing it is a warning, not an error.
    """

    domain: str
    routes: tuple[Route, ...]
    claimant: Claimant
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class Unit:
    """
    One object that claims hosts, translated.

    Attributes:
        owner: the object; claims are settled by its age.
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
        retained: this is the last good form of an object that has errors now.
        failed: whether GKE would have refused it.
    """

    owner: Object
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
        """The identity of the owner."""
        return self.owner.ref

    @property
    def https(self) -> bool:
        """Whether port 443 serves it: not before there is a certificate."""
        return bool(self.certificates)


_NO_TIME = dt.datetime.max.replace(tzinfo=dt.UTC)


Age = tuple[dt.datetime, str, str, str]


def age_of(owner: Object) -> Age:
    """Sort key: the oldest first; objects from files have no age and go by namespace, name and kind."""
    kind, namespace, name = owner.ref
    return (owner.metadata.creation_timestamp or _NO_TIME, namespace, name, kind)


def age(unit: Unit) -> Age:
    """Sort key of a unit: the age of its owner."""
    return age_of(unit.owner)
