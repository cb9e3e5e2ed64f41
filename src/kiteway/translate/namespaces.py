"""What all Ingresses of a namespace may claim together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kiteway.diagnostics import Diagnostic, Severity
from kiteway.kept import Kept
from kiteway.translate.limits import NamespaceLimits
from kiteway.translate.server_names import LARGE_CHAIN
from kiteway.translate.unit import Unit


class Claim(NamedTuple):
    """What one Ingress takes of each of `NamespaceLimits`."""

    hosts: int
    paths: int
    certificates: int
    bytes: int

    @classmethod
    def of(cls, unit: Unit) -> Claim:
        """Count it, whether or not it holds the hosts that it claims."""
        routes = [route for claim in unit.hosts for route in claim.routes]
        headers = [h for route in routes for h in (*route.request_headers, *route.response_headers)]
        longest = max((len(certificate.chain) for certificate in unit.certificates), default=0)
        ca = len(unit.client_auth.ca.pem) if unit.client_auth is not None else 0
        chains = 1 if longest > LARGE_CHAIN and not unit.certificate_required else len(unit.hosts)
        return cls(
            len(unit.hosts),
            len(routes),
            len(unit.certificates),
            sum(len(h.name) + len(h.value) for h in headers) + chains * (longest + ca) * unit.https,
        )


_NOTHING = Claim(0, 0, 0, 0)


def within(
    units: Sequence[Unit], limits: NamespaceLimits, diagnostics: list[Diagnostic], kept: Kept
) -> tuple[Unit, ...]:
    """
    Return the units that fit into what their namespaces may claim.

    An Ingress that does not fit is refused as a whole, and those after it are looked at all the same.

    Args:
        units: the oldest first, which keep what they have.
        limits: for each namespace.
        diagnostics: where the others are told.
        kept: what was counted of the same units before.
    """
    claims = kept.each("claim", Claim.of, units)
    most = dataclasses.astuple(limits)
    if _all_fit(kept.each("namespace", _namespace, units), claims, most):
        return tuple(units)
    claimed: dict[str, Claim] = {}
    found = []
    for unit, claim in zip(units, claims, strict=True):
        before = claimed.get(unit.ref.namespace, _NOTHING)
        total = Claim(*map(sum, zip(before, claim, strict=True)))
        over = [name for name, value, limit in zip(Claim._fields, total, most, strict=True) if value > limit]
        if over:
            diagnostics.append(_refusal(unit, over[0], getattr(total, over[0]), getattr(limits, over[0])))
        else:
            claimed[unit.ref.namespace] = total
            found.append(unit)
    return tuple(found)


def _namespace(unit: Unit) -> str:
    return unit.ref.namespace


def _all_fit(namespaces: Iterable[str], claims: Iterable[Claim], most: Sequence[int]) -> bool:
    """Return whether nothing is refused, which is so in nearly every round, at the cost of sums."""
    by_namespace: dict[str, list[Claim]] = {}
    for namespace, claim in zip(namespaces, claims, strict=True):
        by_namespace.setdefault(namespace, []).append(claim)
    return all(
        total <= limit
        for each in by_namespace.values()
        for total, limit in zip(map(sum, zip(*each, strict=True)), most, strict=True)
    )


def _refusal(unit: Unit, what: str, wanted: int, limit: int) -> Diagnostic:
    return unit.ingress.diagnostic(
        Severity.ERROR,
        "NamespaceLimit",
        f"with this Ingress the namespace {unit.ref.namespace} would have {wanted} {what}, of which it may have {limit}; "
        "the oldest Ingresses keep theirs, and this one is not served.",
        f"Remove what is not needed, or let the operator of Kiteway raise the limit: --namespace-limit {what}={wanted}.",
        ("spec",),
    )
