"""What all Ingresses of a namespace may claim together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kiteway.diagnostics import Diagnostic, Severity
from kiteway.memo import Memo
from kiteway.resources import Ingress, Object
from kiteway.translate.limits import MOST_PATHS, MOST_RULES, NamespaceLimits
from kiteway.translate.server_names import LARGE_CHAIN
from kiteway.translate.unit import Unit, age_of


class Asked(NamedTuple):
    """What the rules of one Ingress ask for, counted before anything is translated."""

    hosts: int
    paths: int

    @classmethod
    def of(cls, ingress: Ingress) -> Asked:
        """Count it; what is beyond the limits of one Ingress is left out anyway."""
        rules = ingress.spec.rules[:MOST_RULES]
        fallback = 1 if ingress.spec.default_backend is not None else 0
        paths = sum(len(rule.http.paths) for rule in rules if rule.http is not None)
        return cls(len({rule.host for rule in rules}) + fallback, min(paths, MOST_PATHS) + fallback)


class Claim(NamedTuple):
    """What one Ingress takes of all others' memory, once it is translated."""

    certificates: int
    bytes: int

    @classmethod
    def of(cls, unit: Unit) -> Claim:
        """Count it, whether or not it holds the hosts that it claims."""
        headers = [
            h
            for claim in unit.hosts
            for route in claim.routes
            for h in (*route.request_headers, *route.response_headers)
        ]
        longest = max((len(certificate.chain) for certificate in unit.certificates), default=0)
        ca = len(unit.client_auth.ca.pem) if unit.client_auth is not None else 0
        chains = 1 if longest > LARGE_CHAIN and not unit.certificate_required else len(unit.hosts)
        return cls(
            len(unit.certificates),
            sum(len(h.name) + len(h.value) for h in headers) + chains * (longest + ca) * unit.https,
        )


def admitted(
    ingresses: Sequence[Ingress], limits: NamespaceLimits, diagnostics: list[Diagnostic], memo: Memo
) -> tuple[Ingress, ...]:
    """
    Return the Ingresses whose hosts and paths fit into what their namespaces may claim.

    The others are not translated, so that they cost nobody time. An Ingress that does not fit is refused as a whole, and
    those after it are looked at all the same.

    Args:
        ingresses: in any order; the oldest keep what they have.
        limits: for each namespace.
        diagnostics: where the others are told.
        memo: what was counted of the same Ingresses before.
    """
    asked = memo.each("asked", Asked.of, ingresses)
    if _all_fit(memo.each("namespace", _namespace, ingresses), asked, (limits.hosts, limits.paths)):
        return tuple(ingresses)
    oldest_first = sorted(range(len(ingresses)), key=lambda number: age_of(ingresses[number]))
    fitting = _fitting([(ingresses[number], asked[number]) for number in oldest_first], limits, diagnostics)
    return tuple([ingress for number, ingress in enumerate(ingresses) if id(ingress) in fitting])


def within(
    units: Sequence[Unit], limits: NamespaceLimits, diagnostics: list[Diagnostic], memo: Memo
) -> tuple[Unit, ...]:
    """
    Return the units whose certificates and headers fit into what their namespaces may claim.

    Args:
        units: the oldest first, which keep what they have.
        limits: for each namespace.
        diagnostics: where the others are told.
        memo: what was counted of the same units before.
    """
    claims = memo.each("claim", Claim.of, units)
    ingresses = memo.each("ingress", _ingress, units)
    if _all_fit(memo.each("namespace", _namespace, ingresses), claims, (limits.certificates, limits.bytes)):
        return tuple(units)
    fitting = _fitting(list(zip(ingresses, claims, strict=True)), limits, diagnostics)
    return tuple([unit for unit in units if id(unit.ingress) in fitting])


def _ingress(unit: Unit) -> Object:
    return unit.ingress


def _namespace(ingress: Object) -> str:
    return ingress.ref.namespace


def _all_fit(namespaces: Iterable[str], claims: Iterable[tuple[int, ...]], most: Sequence[int]) -> bool:
    """Return whether nothing is refused, which is so in nearly every round, at the cost of sums."""
    by_namespace: dict[str, list[tuple[int, ...]]] = {}
    for namespace, claim in zip(namespaces, claims, strict=True):
        by_namespace.setdefault(namespace, []).append(claim)
    return all(
        total <= limit
        for each in by_namespace.values()
        for total, limit in zip(map(sum, zip(*each, strict=True)), most, strict=True)
    )


def _fitting(
    claims: Sequence[tuple[Object, Asked | Claim]], limits: NamespaceLimits, diagnostics: list[Diagnostic]
) -> set[int]:
    """Return the identities of the objects that fit, the first ones before the others."""
    claimed: dict[str, tuple[int, ...]] = {}
    found = set()
    for ingress, claim in claims:
        namespace = ingress.ref.namespace
        total = tuple(map(sum, zip(claimed.get(namespace, (0,) * len(claim)), claim, strict=True)))
        wanted = dict(zip(claim._fields, total, strict=True))
        over = next((name for name, value in wanted.items() if value > getattr(limits, name)), None)
        if over is None:
            claimed[namespace] = total
            found.add(id(ingress))
        else:
            diagnostics.append(_refusal(ingress, over, wanted[over], getattr(limits, over)))
    return found


def _refusal(ingress: Object, what: str, wanted: int, limit: int) -> Diagnostic:
    return ingress.diagnostic(
        Severity.ERROR,
        "NamespaceLimit",
        f"with this Ingress the namespace {ingress.ref.namespace} would have {wanted} {what}, of which it may have {limit}; "
        "the oldest Ingresses keep theirs, and this one is not served.",
        f"Remove what is not needed, or let the operator of Kiteway raise the limit: --namespace-limit {what}={wanted}.",
        ("spec",),
    )
