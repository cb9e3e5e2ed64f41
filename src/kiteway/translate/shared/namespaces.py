"""The limits of all objects of a namespace together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kiteway.diagnostics import Diagnostic, Severity
from kiteway.memo import Memo
from kiteway.resources import Object
from kiteway.translate.shared.limits import NamespaceLimits
from kiteway.translate.shared.routes import policy_bytes
from kiteway.translate.shared.server_names import LARGE_CHAIN
from kiteway.translate.shared.unit import Unit, age_of


class Asked(NamedTuple):
    """The claims of one object's rules, counted by its front end before anything is translated."""

    hosts: int
    paths: int


class Claim(NamedTuple):
    """The share of limited resources that one object uses after translation."""

    certificates: int
    bytes: int

    @classmethod
    def of(cls, unit: Unit) -> Claim:
        """Count what a unit uses, whether or not it holds the hosts that it claims."""
        routes = [route for claim in unit.hosts for route in claim.routes]
        headers = [h for route in routes for h in (*route.request_headers, *route.response_headers)]
        longest = max((len(certificate.chain) for certificate in unit.certificates), default=0)
        ca = len(unit.client_auth.ca.pem) if unit.client_auth is not None else 0
        chains = 1 if longest > LARGE_CHAIN and not unit.certificate_required else len(unit.hosts)
        return cls(
            len(unit.certificates),
            sum(len(h.name) + len(h.value) for h in headers)
            + sum(map(policy_bytes, routes))
            + chains * (longest + ca) * unit.https,
        )


def admitted(
    owners: Sequence[Object],
    asked: Sequence[Asked],
    limits: NamespaceLimits,
    diagnostics: list[Diagnostic],
    memo: Memo,
) -> tuple[Object, ...]:
    """
    Return the objects whose hosts and paths fit into what their namespaces may claim.

    The other objects are not translated, so that they cost nobody time. An object that does not fit is refused as a whole;
    the objects after it are still considered.

    Args:
        owners: in any order; the oldest keep what they have.
        asked: what each of them asks for.
        limits: for each namespace.
        diagnostics: gets a diagnostic for each of the others.
        memo: what was read of the same objects before.
    """
    if _all_fit(memo.each("namespace", _namespace, owners), asked, (limits.hosts, limits.paths)):
        return tuple(owners)
    oldest_first = sorted(range(len(owners)), key=lambda number: age_of(owners[number]))
    fitting = _fitting([(owners[number], asked[number]) for number in oldest_first], limits, diagnostics)
    return tuple([owner for owner in owners if id(owner) in fitting])


def within(
    units: Sequence[Unit], limits: NamespaceLimits, diagnostics: list[Diagnostic], memo: Memo
) -> tuple[Unit, ...]:
    """
    Return the units whose certificates and headers fit into what their namespaces may claim.

    Args:
        units: the oldest first, which keep what they have.
        limits: for each namespace.
        diagnostics: gets a diagnostic for each of the others.
        memo: what was counted of the same units before.
    """
    claims = memo.each("claim", Claim.of, units)
    owners = memo.each("owner", _owner, units)
    if _all_fit(memo.each("namespace", _namespace, owners), claims, (limits.certificates, limits.bytes)):
        return tuple(units)
    fitting = _fitting(list(zip(owners, claims, strict=True)), limits, diagnostics)
    return tuple([unit for unit in units if id(unit.owner) in fitting])


def _owner(unit: Unit) -> Object:
    return unit.owner


def _namespace(owner: Object) -> str:
    return owner.ref.namespace


def _all_fit(namespaces: Iterable[str], claims: Iterable[tuple[int, ...]], most: Sequence[int]) -> bool:
    """Return whether everything fits, by sums alone; this is the result of nearly every round."""
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
    for owner, claim in claims:
        namespace = owner.ref.namespace
        total = tuple(map(sum, zip(claimed.get(namespace, (0,) * len(claim)), claim, strict=True)))
        wanted = dict(zip(claim._fields, total, strict=True))
        over = next((name for name, value in wanted.items() if value > getattr(limits, name)), None)
        if over is None:
            claimed[namespace] = total
            found.add(id(owner))
        else:
            diagnostics.append(_refusal(owner, over, wanted[over], getattr(limits, over)))
    return found


def _refusal(owner: Object, what: str, wanted: int, limit: int) -> Diagnostic:
    return owner.diagnostic(
        Severity.ERROR,
        "NamespaceLimit",
        f"with this {owner.KIND} the namespace {owner.ref.namespace} would have {wanted} {what}, of which it may have {limit}; "
        "the oldest objects keep theirs, and this one is not served.",
        f"Remove what is not needed, or let the operator of Kiteway raise the limit: --namespace-limit {what}={wanted}.",
        ("spec",),
    )
