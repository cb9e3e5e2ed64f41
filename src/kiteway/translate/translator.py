"""The stage itself: objects in, model and diagnostics out."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from kiteway.diagnostics import Diagnostic, ObjectRef, ordered
from kiteway.model import LoadBalancer
from kiteway.resources import Ingress, Object
from kiteway.translate.classes import is_ours
from kiteway.translate.context import Index, Options
from kiteway.translate.ingresses import translate_ingress
from kiteway.translate.merge import merge
from kiteway.translate.unchanged import with_unchanged
from kiteway.translate.unit import Unit
from kiteway.translate.validity import judge


@dataclass(frozen=True, slots=True)
class Result:
    """
    What a set of objects means.

    Attributes:
        model: the load balancer.
        diagnostics: everything that is wrong, in a fixed order.
        retained: Ingresses that have errors now and keep their last good form.
    """

    model: LoadBalancer
    diagnostics: tuple[Diagnostic, ...]
    retained: tuple[ObjectRef, ...]


def translate(
    objects: Iterable[Object], options: Options, now: dt.datetime, failed: Iterable[ObjectRef] = ()
) -> Result:
    """Translate once, without a past."""
    return Translator().translate(objects, options, now, failed)


class Translator:
    """
    Translates again and again, and remembers each Ingress's last good form.

    An Ingress none of whose objects changed is not translated again, and what it came to is the very value of last time.
    """

    def __init__(self) -> None:
        self._fresh: dict[ObjectRef, tuple[Options, Unit]] = {}
        self._good: dict[ObjectRef, Unit] = {}
        self._model = LoadBalancer()

    def translate(
        self, objects: Iterable[Object], options: Options, now: dt.datetime, failed: Iterable[ObjectRef] = ()
    ) -> Result:
        """
        Return what ``objects`` mean.

        Args:
            objects: all readable objects; kinds without a part in it are passed over.
            options: see `Options`.
            now: the time certificates are judged by.
            failed: objects that are there but could not be read; their diagnostics are reported elsewhere.
        """
        index = Index(objects, failed)
        diagnostics: list[Diagnostic] = []
        ingresses = _ours(index, options, diagnostics)
        units: list[Unit] = []
        retained: list[ObjectRef] = []
        fresh: dict[ObjectRef, tuple[Options, Unit]] = {}
        for ingress in ingresses:
            unit = self._unit(ingress, index, options)
            fresh[ingress.ref] = (options, unit)
            diagnostics += unit.diagnostics
            last_good = self._good.get(ingress.ref)
            if not unit.failed:
                self._good[ingress.ref] = unit
            elif last_good is not None:
                retained.append(ingress.ref)
                # The age is the object's; only its meaning is the old one.
                unit = dataclasses.replace(_renewed(last_good, unit), ingress=ingress, retained=True)
                self._good[ingress.ref] = unit
            units.append(unit)
        for ref in failed:
            last_good = self._good.get(ref)
            if last_good is not None:
                units.append(dataclasses.replace(last_good, retained=True))
                retained.append(ref)
        alive = {unit.ref for unit in units}
        self._fresh = fresh
        self._good = {ref: unit for ref, unit in self._good.items() if ref in alive}
        merged, conflicts = merge(units, now)
        self._model = model = with_unchanged(self._model, merged)
        return Result(
            model, ordered([*diagnostics, *conflicts, *judge(model.certificates, index, now)]), tuple(sorted(retained))
        )

    def _unit(self, ingress: Ingress, index: Index, options: Options) -> Unit:
        known = self._fresh.get(ingress.ref)
        if known is not None:
            before, unit = known
            if before == options and unit.ingress == ingress and _same(unit, index):
                return unit
        return translate_ingress(ingress, index, options)


def _ours(index: Index, options: Options, diagnostics: list[Diagnostic]) -> list[Ingress]:
    found = []
    for object_ in index.objects.values():
        if isinstance(object_, Ingress):
            ours, diagnostic = is_ours(object_, index, options)
            if ours:
                found.append(object_)
            if diagnostic is not None:
                diagnostics.append(diagnostic)
    return found


def _renewed(last_good: Unit, now: Unit) -> Unit:
    """Return the last good form with the certificates that are good now: one bad Secret lets no other one expire."""
    current = {certificate.name: certificate for certificate in now.certificates}
    return dataclasses.replace(last_good, certificates=tuple(current.get(c.name, c) for c in last_good.certificates))


def _same(unit: Unit, index: Index) -> bool:
    return all(index.objects.get(key) == found for key, found in unit.dependencies)
