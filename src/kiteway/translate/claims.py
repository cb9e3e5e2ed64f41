"""Who gets which host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kiteway.diagnostics import Diagnostic, Severity
from kiteway.translate.hosts import ANY_HOST
from kiteway.translate.unit import HostClaim, Unit


class Owner(NamedTuple):
    """The unit that holds a host, and what it wants of it."""

    unit: Unit
    claim: HostClaim


Owners = Mapping[str, Owner]
"""The holder of each host."""


def parent_wildcard(domain: str) -> str:
    """Return the wildcard that covers a name: ``*`` stands for one label; a wildcard itself is covered by none."""
    label, _, parent = domain.partition(".")
    return f"*.{parent}" if parent and label != "*" else ""


def settle(units: Sequence[Unit], diagnostics: list[Diagnostic]) -> Owners:
    """
    Give each host to the oldest unit that wants it.

    Nobody takes a host out of another namespace's wildcard either, unless the name was there before the wildcard.

    Args:
        units: the oldest first.
        diagnostics: where the others are told.
    """
    owners: dict[str, Owner] = {}
    wildcards = False
    for unit in units:
        for claim in unit.hosts:
            held = owners.get(claim.domain)
            if held is None and wildcards:
                held = _foreign_wildcard(owners, unit, claim)
            wildcards = wildcards or claim.domain.startswith("*.")
            if held is None:
                owners[claim.domain] = Owner(unit, claim)
            elif held.unit is not unit:
                diagnostics.append(_conflict(unit, claim, held))
    return owners


def _foreign_wildcard(owners: Owners, unit: Unit, claim: HostClaim) -> Owner | None:
    """Return the older holder of a wildcard over the host, if it is in another namespace."""
    wildcard = owners.get(parent_wildcard(claim.domain))
    return wildcard if wildcard is not None and wildcard.unit.ref.namespace != unit.ref.namespace else None


def _conflict(unit: Unit, claim: HostClaim, held: Owner) -> Diagnostic:
    if claim.index is None:
        return unit.ingress.diagnostic(
            Severity.WARNING,
            "HostConflict",
            f"requests for hosts that no rule names go to the default backend of {held.unit.ref}, which is older; "
            "Ingresses share one address here, unlike on GKE. On its own hosts this one's is used.",
            "Give the hosts that are meant for it a rule.",
            ("spec", "defaultBackend"),
        )
    through = "" if held.claim.domain == claim.domain else f' with "{held.claim.domain}"'
    what = "every host without a rule of its own" if claim.domain == ANY_HOST else f'the host "{claim.domain}"'
    return unit.ingress.diagnostic(
        Severity.ERROR,
        "HostConflict",
        f"{what} is held{through} by {held.unit.ref}, which is older; Ingresses share one address here, unlike on GKE.",
        "Use another host, or put all its paths into one Ingress.",
        ("spec", "rules", claim.index, "host"),
    )
