"""The unit: the translation of one object that claims hosts, such as an Ingress."""

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
"""The domain of a claim on all hosts that no other claim is for."""


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
        fallback: it is a default backend's claim. Without it the unit still serves its other hosts, so its loss is a warning.
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
        profile: the TLS profile; None offers Envoy's defaults.
        client_auth: how clients are authenticated; None if they are not, or if their certificates cannot be verified now.
        certificate_required: whether clients need a certificate; if so and ``client_auth`` is None, no client is served.
        diagnostics: everything found on the way.
        dependencies: the objects that were looked up, whether or not they exist.
        solver: it is for HTTP-01 challenges alone (cert-manager's), so it may use hosts that its namespace holds.
        retained: this is the last good form of an object that has errors now.
        failed: whether it has an error, for which GKE would refuse the object.
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
    solver: bool = False
    retained: bool = False
    failed: bool = field(init=False)

    def __post_init__(self) -> None:
        """Compute ``failed`` once."""
        object.__setattr__(self, "failed", any(d.severity is Severity.ERROR for d in self.diagnostics))

    @property
    def ref(self) -> ObjectRef:
        """The identity of the owner."""
        return self.owner.ref

    @property
    def https(self) -> bool:
        """Whether port 443 serves it, which needs a certificate."""
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
