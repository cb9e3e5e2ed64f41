"""Decides which form of each unit is published: the newest, the one that Envoy last accepted, or none."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import operator
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from kiteway import __version__
from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.envoy.ads import ROUTE, Rejection
from kiteway.model import HTTPMode, Pool
from kiteway.quarantine import blame, forms
from kiteway.quarantine.apart import FEWEST, Apart
from kiteway.quarantine.search import Held, Search
from kiteway.quarantine.store import Stored, StoredCulprit, StoredForm
from kiteway.translate.shared.unit import Unit, age

REJECTED: Final = "RejectedByEnvoy"
"""Envoy rejects the configuration of an Ingress; the last one that Envoy accepted, if any, stays in force."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """
    An Ingress whose newest form is not in force, because Envoy rejects it.

    Attributes:
        ref: the Ingress.
        message: Envoy's message; empty while it may be about another Ingress.
        since: when the search blamed it; None while it is not known whether it is to blame.
        served: whether its last accepted form is in force.
    """

    ref: ObjectRef
    message: str
    since: dt.datetime | None
    served: bool


@dataclass(frozen=True, slots=True)
class QuarantineState:
    """
    The quarantine at one moment.

    Attributes:
        held: the Ingresses that are held back, by namespace and name.
        settled: whether every Ingress had a verdict once.
        searching: whether Envoy rejected a configuration, and the Ingress to blame is not known yet.
        parked: whether some Ingresses wait for the first health check of their endpoints.
        withheld: whether the clusters of these wait too, until Envoy has started.
        waiting: whether changes wait for a verdict of Envoy before they are published.
        undecided: whether a verdict of Envoy is outstanding.
        blocked: Envoy's message when it rejects even forms that it accepted before; then no Ingress is held back.
        retry: whether some Ingresses are to be tried again later.
        apart: the Ingresses that are tried apart from all others (see `Apart`), the oldest first.
    """

    held: tuple[Quarantined, ...] = ()
    settled: bool = True
    searching: bool = False
    parked: bool = False
    withheld: bool = False
    waiting: bool = False
    undecided: bool = False
    blocked: str = ""
    retry: bool = False
    apart: tuple[ObjectRef, ...] = ()


class Quarantine:
    """The search, with the units themselves. One caller at a time."""

    def __init__(self, stored: Stored | None = None) -> None:
        """Begin with the stored state of the last process, if there is one."""
        self._stored: Stored | None = stored or Stored()
        self._search: Search[ObjectRef] = Search()
        self._apart: Apart[ObjectRef] | None = None
        self._conflict = False
        """Whether the suspects of this search are rejected only together, so that trials apart from others show nothing."""
        self._units: dict[ObjectRef, Unit] = {}
        self._wanted: tuple[Unit, ...] = ()
        self._forms: dict[ObjectRef, tuple[Unit, str]] = {}
        self._accepted: dict[ObjectRef, Unit] = {}
        self._held: dict[ObjectRef, tuple[Unit, Unit, Unit]] = {}
        self._withheld = False
        self._since: dict[ObjectRef, dt.datetime] = {}

    def want(self, units: Iterable[Unit]) -> None:
        """Take the newest unit of each Ingress."""
        units = tuple(units)
        if len(units) != len(self._wanted) or not all(map(operator.is_, units, self._wanted)):
            self._wanted = units
            self._units = {unit.ref: unit for unit in sorted(units, key=age)}
            known, self._forms = self._forms, {}
            for ref, unit in self._units.items():
                before = known.get(ref)
                same = before is not None and before[0] is unit
                self._forms[ref] = before if before is not None and same else (unit, forms.fingerprint(unit))
        if self._stored is not None:
            self._restore(self._stored)
            self._stored = None
        self._search.want({ref: form for ref, (_, form) in self._forms.items()})
        self._settle()

    def chosen(self) -> tuple[Unit, ...]:
        """Return the form of each unit to publish; units without one are left out."""
        found = []
        published = self._search.published(trial=self._apart is None)
        for ref, unit in self._units.items():
            form = published.get(ref)
            if form == self._forms[ref][1]:
                found.append(unit)
            elif form is not None:
                found.append(self._hold(self._accepted[ref], unit))
        return tuple(found)

    def against(self, rejections: Iterable[Rejection]) -> list[Rejection]:
        """
        Return the rejections that are a verdict on the units on trial.

        A rejection of a resource that is not shared counts only if its unit is on trial: it affects no other unit.
        """
        if self._apart is not None:
            return [r for r in rejections if blame.of_trial(r)]
        own = {name for ref in self._search.on_trial for name in blame.resources(self._units[ref])}
        return [r for r in blame.of_units(rejections) if blame.shared(r) or not own.isdisjoint(r.resources)]

    def accept(self) -> None:
        """Note that Envoy acknowledged the published configuration."""
        if self._apart is not None:
            self._apart.accept()
            self._use_apart(when_done=True)
        else:
            self._search.accept()
        self._settle()

    def reject(self, rejections: Sequence[Rejection], now: dt.datetime) -> None:
        """Note that Envoy rejected the published configuration."""
        message = rejections[-1].message.strip()
        if self._apart is not None:
            self._apart.reject()
            self._use_apart(when_done=True)
        else:
            trial = [self._units[ref] for ref in self._units if ref in self._search.on_trial]
            named = {unit.ref for rejection in rejections for unit in blame.named(rejection, trial)}
            if self._apart_helps(rejections, trial, named):
                self._apart = Apart(dict(self._search.on_trial), message, [unit.ref for unit in trial])
            else:
                self._search.reject(message, named)
        self._settle(now)

    def _use_apart(self, *, when_done: bool = False) -> None:
        """Let the search go on with what trials apart from others have shown, now or ``when_done``."""
        apart = self._apart
        if apart is not None and (apart.done or not when_done):
            self._apart, self._conflict = None, not apart.left
            self._search.reject(apart.message, apart.left, apart.pushes)

    def _apart_helps(
        self, rejections: Iterable[Rejection], trial: Sequence[Unit], named: Collection[ObjectRef]
    ) -> bool:
        """Return whether trials apart from others cost less than halving: many suspects, in route tables, and no hint."""
        in_tables = all(rejection.type_url == ROUTE for rejection in rejections)
        return in_tables and not named and len(trial) >= FEWEST and not self._conflict

    def reconnect(self) -> None:
        """Note that an Envoy has connected or disconnected."""
        self._apart = None
        self._search.reconnect()
        self._withheld = False

    def park(self, clusters: Collection[str]) -> None:
        """Park the units on trial that use these warming clusters, so that no other unit waits for them."""
        self._search.park(
            [ref for ref in self._search.on_trial if not blame.resources(self._units[ref]).isdisjoint(clusters)]
        )

    def leave_out(self, clusters: Collection[str]) -> None:
        """Leave out the units that use these clusters, and the clusters, so that an Envoy can start without them."""
        concerned = [ref for ref, unit in self._units.items() if not blame.resources(unit).isdisjoint(clusters)]
        self._search.leave_out(concerned)
        self._withheld = True

    def warm(self) -> None:
        """Note that Envoy has started, and publish the clusters that were left out."""
        self._withheld = False

    def unpark(self) -> None:
        """Note that no cluster is warming any more."""
        self._search.unpark()

    def warming(self) -> tuple[Pool, ...]:
        """Return the pools to publish although no route may lead to them yet."""
        if self._withheld:
            return ()
        units = [self._units[ref] for ref in self._search.parked]
        units += [self._accepted[ref] for ref in self._search.away]
        return tuple(pool for unit in units for pool in unit.pools)

    def overdue(self) -> None:
        """Note that the verdict takes long."""
        self._use_apart()
        self._search.overdue()

    def give_up(self) -> None:
        """Note that the search takes too long."""
        self._use_apart()
        self._search.give_up()

    def retry(self) -> None:
        """Try again the units that are not known to be bad."""
        self._search.retry()

    @property
    def state(self) -> QuarantineState:
        """The state to report."""
        search = self._search
        held = [self._quarantined(ref, why, self._since.get(ref)) for ref, why in search.culprits.items()]
        held += [self._quarantined(ref, None, None) for ref in search.unsettled]
        return QuarantineState(
            tuple(sorted(held, key=lambda each: each.ref)),
            search.settled,
            search.searching or self._apart is not None,
            bool(search.parked or search.away),
            self._withheld,
            search.waiting,
            search.undecided,
            search.blocked,
            bool(search.unsettled or search.blocked),
            tuple(self._apart.on_trial) if self._apart is not None else (),
        )

    def diagnostics(self) -> list[Diagnostic]:
        """Return the diagnostics of the Ingresses that are held back."""
        return [_diagnostic(self._units[each.ref], each) for each in self.state.held]

    def stored(self) -> Stored:
        """Return the state to store for the next process."""
        accepted, culprits = self._search.accepted, self._search.culprits
        undecided = [
            StoredForm(ref, forms.encode(unit))
            for ref, unit in sorted(self._accepted.items(), key=lambda item: item[0])
            if ref not in culprits and ref in self._forms and accepted.get(ref) != self._forms[ref][1]
        ]
        return Stored(
            __version__,
            tuple(sorted(accepted.items())),
            tuple(
                StoredCulprit(
                    ref,
                    held.form,
                    held.message,
                    self._since[ref],
                    forms.encode(self._accepted[ref]) if ref in self._accepted else None,
                )
                for ref, held in sorted(culprits.items())
            ),
            tuple(undecided),
        )

    def _restore(self, stored: Stored) -> None:
        """Take the usable part of the stored state; another version of Kiteway may translate differently."""
        culprits = {}
        accepted = {ref: form for ref, form in stored.accepted if ref in self._forms and self._forms[ref][1] == form}
        whole = {each.ref: each.accepted for each in stored.culprits if each.accepted is not None}
        whole |= {each.ref: each.accepted for each in stored.undecided}
        for ref, form in whole.items():
            if ref in self._units:
                with contextlib.suppress(ValueError):
                    self._accepted[ref] = last = forms.decode(form, self._units[ref].owner)
                    accepted.setdefault(ref, forms.fingerprint(last))
        for each in stored.culprits:
            damaged = each.accepted is not None and each.ref not in self._accepted
            if stored.version == __version__ and each.ref in self._units and not damaged:
                culprits[each.ref] = Held(each.form, each.message)
                self._since[each.ref] = each.since
        self._search = Search(accepted, culprits)

    def _settle(self, now: dt.datetime | None = None) -> None:
        """Update the units by the results of the search."""
        if self._apart is not None and self._apart.forms != self._search.on_trial:
            # What was rejected is on trial no longer, and the rest is published again.
            self._apart = None
        self._conflict = self._conflict and self._search.searching
        accepted = self._search.accepted
        for ref, (unit, form) in self._forms.items():
            if accepted.get(ref) == form:
                self._accepted[ref] = unit
        for ref in self._accepted.keys() - accepted.keys():
            del self._accepted[ref]
        self._held = {ref: held for ref, held in self._held.items() if ref in self._units}
        self._since = {ref: self._since.get(ref) or now or dt.datetime.now(dt.UTC) for ref in self._search.culprits}

    def _hold(self, accepted: Unit, newest: Unit) -> Unit:
        """Return the form in which a unit is held: the object of the last round, if nothing about it changed."""
        known = self._held.get(newest.ref)
        if known is None or known[0] is not accepted or known[1] is not newest:
            self._held[newest.ref] = known = (accepted, newest, _held_form(accepted, newest))
        return known[2]

    def _quarantined(self, ref: ObjectRef, held: Held | None, since: dt.datetime | None) -> Quarantined:
        return Quarantined(ref, held.message if held is not None else "", since, ref in self._accepted)


def _held_form(accepted: Unit, newest: Unit) -> Unit:
    """Return the last accepted form. If only the newest form requires certificates of clients, the result serves no client."""
    held = dataclasses.replace(accepted, owner=newest.owner, retained=True)
    if newest.certificate_required and not accepted.certificate_required:
        return dataclasses.replace(held, certificates=(), http=HTTPMode.OFF, certificate_required=True)
    return held


def _diagnostic(unit: Unit, held: Quarantined) -> Diagnostic:
    serving = "Its last accepted configuration stays in force" if held.served else "It is not served"
    if held.since is None:
        return unit.owner.diagnostic(
            Severity.WARNING,
            "HeldBack",
            "its change is held back: Envoy rejected it together with changes of others, and it is not known yet which of "
            f"them is to blame. {serving}.",
            "Nothing: Kiteway tries the change again.",
        )
    return unit.owner.diagnostic(
        Severity.ERROR,
        REJECTED,
        f"Envoy rejects its configuration. {serving}. Envoy said: {held.message}",
        "Correct it, or the objects that it names (Services, BackendConfigs, FrontendConfig, Secrets); Kiteway tries again "
        "when one of them changes. Look in Envoy's sentence for a value of your manifest. If your manifest has no such value, "
        "report a bug of Kiteway.",
    )
