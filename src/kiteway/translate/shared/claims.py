"""Which unit serves which host."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kiteway.diagnostics import Diagnostic, Severity
from kiteway.translate.shared.unit import ANY_HOST, HostClaim, Unit

_SOLVER_FIX = (
    "A solver of cert-manager serves a host that an Ingress of its own namespace holds: keep the Certificate beside the "
    'Ingress, set acme.cert-manager.io/http01-edit-in-place: "true" on it, or use DNS-01.'
)


class Holder(NamedTuple):
    """The unit that holds a host, and its claim."""

    unit: Unit
    claim: HostClaim


Holders = Mapping[str, Holder]
"""The holder of each host."""


def parent_wildcard(domain: str) -> str:
    """Return the wildcard that covers a name. ``*`` is one label; no wildcard covers a wildcard."""
    label, _, parent = domain.partition(".")
    return f"*.{parent}" if parent and label != "*" else ""


Guests = Mapping[str, Sequence[HostClaim]]
"""The claims of solvers by the host that answers the name: itself or its wildcard, of their namespace, or ``*``."""


def settle(units: Sequence[Unit], diagnostics: list[Diagnostic]) -> tuple[Holders, Guests]:
    """
    Give each host to the oldest unit that wants it, to a solver last.

    A name below a wildcard of another namespace goes to the wildcard's unit, unless the name was claimed before the wildcard.

    Args:
        units: the oldest first.
        diagnostics: receives a conflict for each claim that is refused.
    """
    holders: dict[str, Holder] = {}
    guests: dict[str, list[HostClaim]] = {}
    wildcards = False
    for unit in sorted(units, key=_is_solver):
        for claim in unit.hosts:
            held = holders.get(claim.domain)
            if held is None and wildcards:
                held = _foreign_wildcard(holders, unit, claim)
            wildcards = wildcards or claim.domain.startswith("*.")
            answering = _answering(holders, claim.domain) if unit.solver else None
            if answering is not None and _is_guest(unit, claim, answering):
                host = answering.claim.domain
                guests.setdefault(host, []).append(claim if host == claim.domain else _for_its_name(claim))
            elif held is None:
                holders[claim.domain] = Holder(unit, claim)
            elif held.unit is not unit:
                diagnostics.append(_conflict(unit, claim, held))
    return holders, guests


def _is_solver(unit: Unit) -> bool:
    return unit.solver


def _is_guest(solver: Unit, claim: HostClaim, host: Holder) -> bool:
    """
    Return whether the paths of a solver are served beside those of a host.

    Any namespace may claim a name for which there is only the host for all other names. A solver does not: until its end, the
    name would have no path but that of the challenge.
    """
    if host.unit.ref.namespace == solver.ref.namespace:
        return True
    return host.claim.domain == ANY_HOST and claim.domain != ANY_HOST


def _foreign_wildcard(holders: Holders, unit: Unit, claim: HostClaim) -> Holder | None:
    """Return the older holder of a wildcard over the host, if it is in another namespace."""
    wildcard = holders.get(parent_wildcard(claim.domain))
    return wildcard if wildcard is not None and wildcard.unit.ref.namespace != unit.ref.namespace else None


def _answering(holders: Holders, domain: str) -> Holder | None:
    """Return the holder of the host that Envoy chooses for a name; None if there is none, or it refuses the name."""
    if domain in holders or domain.startswith("*"):
        return holders.get(domain)
    labels = domain.split(".")
    wildcards = [f"*.{'.'.join(labels[i:])}" for i in range(1, len(labels))]
    chosen = next((each for each in (*wildcards, ANY_HOST) if each in holders), None)
    # A wildcard that covers more than one label is Envoy's choice, and answers that the host is not known.
    return holders[chosen] if chosen in {parent_wildcard(domain), ANY_HOST} else None


def _for_its_name(claim: HostClaim) -> HostClaim:
    """
    Return a claim to paths of a host that covers other names too.

    A host of the name's own would have these paths alone, and no certificate.
    """
    routes = tuple(dataclasses.replace(route, name=claim.domain) for route in claim.routes)
    return dataclasses.replace(claim, routes=routes)


def _conflict(unit: Unit, claim: HostClaim, held: Holder) -> Diagnostic:
    holder = held.claim.claimant
    if claim.fallback:
        return unit.owner.diagnostic(
            Severity.WARNING,
            "HostConflict",
            f"requests for hosts that no rule names go to {holder}, which is older: Kiteway serves all hosts at one address, "
            "unlike GKE. Requests for the hosts of this object go to its own default backend.",
            "Give the hosts that are meant for it a rule.",
            claim.claimant.field,
        )
    through = "" if held.claim.domain == claim.domain else f' with "{held.claim.domain}"'
    what = "every host without a rule of its own" if claim.domain == ANY_HOST else f'the host "{claim.domain}"'
    return unit.owner.diagnostic(
        Severity.ERROR,
        "HostConflict",
        f"{what} is held{through} by {holder}, which is older: Kiteway serves all hosts at one address, unlike GKE.",
        _SOLVER_FIX if unit.solver else "Use another host, or put all its paths into one object.",
        claim.claimant.field,
    )
