"""The limits of all objects of a namespace together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.memo import Memo
from kiteway.resources import Object
from kiteway.translate.shared.last_good import renewed
from kiteway.translate.shared.limits import NamespaceLimits
from kiteway.translate.shared.routes import policy_bytes
from kiteway.translate.shared.unit import Unit, age_of


class Asked(NamedTuple):
    """
    The claims of one object's rules, counted by its front end before anything is translated.

    Attributes:
        hosts: the hosts.
        paths: the paths of all of them.
        challenges: the paths of a solver of challenges. They count apart, so that a certificate can be renewed in a namespace that
            has all the hosts it may have.
    """

    hosts: int
    paths: int
    challenges: int = 0

    @classmethod
    def of(cls, unit: Unit) -> Asked:
        """Count what the translated form of an object has."""
        paths = sum(len(claim.routes) for claim in unit.hosts)
        return cls(0, 0, paths) if unit.solver else cls(len(unit.hosts), paths)


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
        return cls(
            len(unit.certificates),
            sum(len(h.name) + len(h.value) for h in headers)
            + sum(map(policy_bytes, routes))
            # Envoy parses both again for each filter chain, and each host may have one of its own.
            + len(unit.hosts) * (longest + ca) * unit.https,
        )


def admitted(
    owners: Sequence[Object],
    asked: Sequence[Asked],
    limits: NamespaceLimits,
    diagnostics: list[Diagnostic],
    memo: Memo,
    *,
    good: Mapping[ObjectRef, Unit],
) -> tuple[tuple[Object, ...], frozenset[ObjectRef]]:
    """
    Return the objects whose hosts and paths fit into what their namespaces may claim.

    The other objects are not translated, so that they do not delay the changes of other namespaces. An object that does not fit is refused as a whole;
    the objects after it are still considered. If the last good form of such an object fits, the object is returned too, and
    beside the objects the name of each whose last good form is to be served.

    Args:
        owners: in any order; the oldest keep what they have.
        asked: what each of them asks for.
        limits: for each namespace.
        diagnostics: gets a diagnostic for each of the others.
        memo: what was read of the same objects before.
        good: the last good form of each object.
    """
    if _all_fit(memo.each("namespace", _namespace, owners), asked, (limits.hosts, limits.paths, limits.challenges)):
        return tuple(owners), frozenset()
    ages = memo.each("age", age_of, owners)
    oldest_first = sorted(range(len(owners)), key=ages.__getitem__)
    forms = [good.get(owners[number].ref) for number in oldest_first]
    claims = [
        (owners[number], asked[number], memo(Asked.of, form) if form is not None else None)
        for number, form in zip(oldest_first, forms, strict=True)
    ]
    fitting = _fitting(claims, limits, diagnostics, memo)
    kept = frozenset(owner.ref for owner in owners if fitting.get(id(owner)))
    return tuple([owner for owner in owners if id(owner) in fitting]), kept


class Room(NamedTuple):
    """
    The units within the limits of their namespaces.

    Attributes:
        units: the units, the oldest first; some in their last form that fitted.
        fitted: by name, the newest form of each unit that fits, or its last one that did.
        kept: the names of those that are served in their last form.
    """

    units: tuple[Unit, ...]
    fitted: Mapping[ObjectRef, Unit]
    kept: tuple[ObjectRef, ...] = ()


def within(
    units: Sequence[Unit],
    limits: NamespaceLimits,
    diagnostics: list[Diagnostic],
    memo: Memo,
    fitted: Mapping[ObjectRef, Unit],
) -> Room:
    """
    Return the units whose certificates and headers fit into what their namespaces may claim.

    A unit that does not fit is served in its last form that did, if that still fits.

    Args:
        units: the oldest first, which keep what they have.
        limits: for each namespace.
        diagnostics: gets a diagnostic for each of the others.
        memo: what was counted of the same units before.
        fitted: those of the result of the last call.
    """
    claims = memo.each("claim", Claim.of, units)
    owners = memo.each("owner", _owner, units)
    if _all_fit(memo.each("namespace", _namespace, owners), claims, (limits.certificates, limits.bytes)):
        return Room(tuple(units), {unit.ref: unit for unit in units})
    last = {id(unit.owner): memo(renewed, fitted[unit.ref], unit) for unit in units if unit.ref in fitted}
    counted = {owner: memo(Claim.of, form) for owner, form in last.items()}
    claimed = [(owner, claim, counted.get(id(owner))) for owner, claim in zip(owners, claims, strict=True)]
    fitting = _fitting(claimed, limits, diagnostics, memo)
    found = [unit for unit in units if id(unit.owner) in fitting]
    kept = {unit.ref for unit in found if fitting[id(unit.owner)]}
    return Room(
        tuple([last[id(unit.owner)] if unit.ref in kept else unit for unit in found]),
        {unit.ref: fitted[unit.ref] if unit.ref in kept else unit for unit in found},
        tuple(sorted(kept)),
    )


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
    claims: Sequence[tuple[Object, Asked | Claim, Asked | Claim | None]],
    limits: NamespaceLimits,
    diagnostics: list[Diagnostic],
    memo: Memo,
) -> dict[int, bool]:
    """
    Return the identity of each object that fits, the first ones before the others; True: only its last form fits.

    Each object has its claim, and the claim of its last form if it has one. A namespace in which nothing changed costs a
    look-up, so that thousands of refused objects do not delay the changes of others.
    """
    by_namespace: dict[str, list[tuple[Object, Asked | Claim, Asked | Claim | None]]] = {}
    for owner, claim, last in claims:
        # A last form that claims the same fits no better. Without it, the first round after a change is a look-up too.
        by_namespace.setdefault(owner.ref.namespace, []).append((owner, claim, last if last != claim else None))
    found: dict[int, bool] = {}
    for each in by_namespace.values():
        owners, wanted, lasts = map(tuple, zip(*each, strict=True))
        fitting = memo(_fitting_of_namespace, owners, wanted, lasts, limits)
        found |= fitting.kept
        diagnostics += fitting.refusals
    return found


class _Fitting(NamedTuple):
    """By identity, the objects of a namespace that fit; True: only its last form fits."""

    kept: Mapping[int, bool]
    refusals: tuple[Diagnostic, ...]


def _fitting_of_namespace(
    owners: tuple[Object, ...],
    claims: tuple[Asked | Claim, ...],
    last: tuple[Asked | Claim | None, ...],
    limits: NamespaceLimits,
) -> _Fitting:
    claimed = (0,) * len(claims[0])
    found = {}
    refusals = []
    for owner, claim, earlier in zip(owners, claims, last, strict=True):
        over, total = _over(claimed, claim, limits)
        kept = False
        if over is not None:
            wanted = total[claim._fields.index(over)]
            if earlier is not None:
                # It counts, or objects edited beyond the limit one after the other would serve any number of hosts.
                still, total = _over(claimed, earlier, limits)
                kept = still is None
            refusals.append(_refusal(owner, over, wanted, getattr(limits, over), kept=kept))
        if over is None or kept:
            claimed = total
            found[id(owner)] = kept
    return _Fitting(found, tuple(refusals))


def _over(before: tuple[int, ...], claim: Asked | Claim, limits: NamespaceLimits) -> tuple[str | None, tuple[int, ...]]:
    """Return the first limit that is exceeded with a claim, if any, and the sums with it."""
    total = tuple(map(sum, zip(before, claim, strict=True)))
    over = (name for name, value in zip(claim._fields, total, strict=True) if value > getattr(limits, name))
    return next(over, None), total


def _refusal(owner: Object, what: str, wanted: int, limit: int, *, kept: bool) -> Diagnostic:
    served = "the last form of this one that fitted stays in force" if kept else "this one is not served"
    return owner.diagnostic(
        Severity.ERROR,
        "NamespaceLimit",
        f"with this {owner.KIND} the namespace {owner.ref.namespace} would have {wanted} {what}, of which it may have {limit}; "
        f"the oldest objects keep theirs, and {served}.",
        f"Remove what is not needed, or let the operator of Kiteway raise the limit: --namespace-limit {what}={wanted}.",
        ("spec",),
    )
