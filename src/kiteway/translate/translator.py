"""The stage itself: objects in, model and diagnostics out."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kiteway.diagnostics import Diagnostic, ObjectRef, ordered
from kiteway.memo import Memo
from kiteway.model import LoadBalancer, Pool
from kiteway.resources import MilvusPolicy, Object
from kiteway.translate.ingress.front_end import INGRESS
from kiteway.translate.policy.attachment import Attached, Attachment, attach, judge_attachments
from kiteway.translate.policy.caches import with_caches
from kiteway.translate.shared.context import Index, Options
from kiteway.translate.shared.front_end import FrontEnd
from kiteway.translate.shared.last_good import renewed
from kiteway.translate.shared.merge import merge
from kiteway.translate.shared.namespaces import Asked, admitted
from kiteway.translate.shared.unchanged import with_unchanged
from kiteway.translate.shared.unit import Key, Unit
from kiteway.translate.shared.validity import judge

FRONT_ENDS: Mapping[str, FrontEnd[Any]] = {each.kind.KIND: each for each in (INGRESS,)}
"""By the kind of the objects that claim hosts."""


@dataclass(frozen=True, slots=True)
class Translated:
    """
    The units of all objects that claim hosts.

    Attributes:
        units: what each of them means; one that has errors has its last good form.
        diagnostics: what is wrong with them on their own.
        retained: objects that have errors now and keep their last good form.
        index: the objects.
        attached: the policies and their targets.
    """

    units: tuple[Unit, ...]
    diagnostics: tuple[Diagnostic, ...]
    retained: tuple[ObjectRef, ...]
    index: Index
    attached: Attached


@dataclass(frozen=True, slots=True)
class Result:
    """
    The translation of a set of objects.

    Attributes:
        model: the load balancer.
        diagnostics: everything that is wrong, in a fixed order.
        retained: objects that have errors now and keep their last good form.
        attachments: what became of each target of each policy.
    """

    model: LoadBalancer
    diagnostics: tuple[Diagnostic, ...]
    retained: tuple[ObjectRef, ...]
    attachments: tuple[Attachment, ...] = ()


def translate(
    objects: Iterable[Object], options: Options, now: dt.datetime, failed: Iterable[ObjectRef] = ()
) -> Result:
    """Translate once, without the last good forms of earlier rounds."""
    return Translator().translate(objects, options, now, failed)


class Translator:
    """
    Translates in each round, and remembers the last good form of each object that claims hosts.

    An object is translated again only if one of its dependencies has changed. Otherwise its unit is the same Python object
    as in the last round.
    """

    def __init__(self) -> None:
        self._options: Options | None = None
        self._objects: Mapping[Key, Object] = {}
        self._failed: frozenset[Key] = frozenset()
        self._fresh: dict[ObjectRef, Unit] = {}
        self._good: dict[ObjectRef, Unit] = {}
        self._attached = Attached({}, (), {})
        self._fitted: Mapping[ObjectRef, Unit] = {}
        self._model = LoadBalancer()
        self._memo = Memo()
        self._counted = Memo()

    def translate(
        self, objects: Iterable[Object], options: Options, now: dt.datetime, failed: Iterable[ObjectRef] = ()
    ) -> Result:
        """
        Return what ``objects`` mean.

        Args:
            objects: all readable objects; kinds that no front end reads are ignored.
            options: see `Options`.
            now: the time certificates are judged by.
            failed: objects that exist but could not be read; their diagnostics are reported elsewhere.
        """
        translated = self.units(objects, options, failed)
        return self.merge(translated, translated.units, now)

    def units(self, objects: Iterable[Object], options: Options, failed: Iterable[ObjectRef] = ()) -> Translated:
        """Return what each of ``objects`` that claims hosts means on its own; see `translate` for the arguments."""
        failed = tuple(failed)
        index = Index(objects, failed)
        known = self._fresh if options == self._options else {}
        # A change between unreadable and absent counts as a change.
        changed = _changed(self._objects, index.objects) | (index.failed ^ self._failed)
        diagnostics: list[Diagnostic] = []
        self._counted.turn()
        ours = _ours(index, options, diagnostics)
        attached, retained = self._attach(index, {owner.ref for owner in ours})
        changed |= _differing(self._attached.by_target, attached.by_target)
        index.policy = attached.policy_of
        asked = self._counted.each("asked", _asked, ours)
        owners, kept = admitted(ours, asked, options.namespace_limits, diagnostics, self._counted, good=self._good)
        units: list[Unit] = []
        fresh: dict[ObjectRef, Unit] = {}
        for owner in owners:
            ref = owner.ref
            before = known.get(ref)
            unchanged = before is not None and (
                not changed or (ref not in changed and changed.isdisjoint(before.dependencies))
            )
            unit = before if before is not None and unchanged else _translated(owner, index, options)
            fresh[ref] = unit
            diagnostics += unit.diagnostics
            if unit.failed or ref in kept:
                last_good = self._good.get(ref)
                if last_good is not None:
                    retained.append(ref)
                    if not (unchanged and last_good.retained):
                        last_good = renewed(last_good, unit)
                    unit = last_good
                    self._good[ref] = unit
            else:
                self._good[ref] = unit
            units.append(unit)
        for ref in failed:
            last_good = self._good.get(ref)
            if last_good is not None:
                units.append(dataclasses.replace(last_good, retained=True))
                retained.append(ref)
        for ref in self._good.keys() - fresh.keys() - set(failed):
            del self._good[ref]
        self._objects, self._failed, self._fresh, self._options = index.objects, index.failed, fresh, options
        self._attached = attached
        return Translated(tuple(units), tuple(diagnostics), tuple(sorted(retained)), index, attached)

    def _attach(self, index: Index, ours: set[ObjectRef]) -> tuple[Attached, list[ObjectRef]]:
        """Return the policies and their targets, and which policies have errors now and keep their last good form."""
        policies = [o for o in index.objects.values() if isinstance(o, MilvusPolicy)]
        # Otherwise a mistake in a policy would lift the limits that it set.
        kept = [policy for ref, policy in self._attached.policies.items() if ref in index.failed]
        return attach([*policies, *kept], index.objects, index.failed, ours), [policy.ref for policy in kept]

    def merge(
        self,
        translated: Translated,
        units: Sequence[Unit],
        now: dt.datetime,
        *,
        further: Iterable[Diagnostic] = (),
        warming: Sequence[Pool] = (),
    ) -> Result:
        """
        Return what units mean together.

        Args:
            translated: what they mean on their own.
            units: the forms to use; some may be left out.
            now: the time certificates are judged by.
            further: diagnostics to be reported with the others.
            warming: pools to build although no route leads to them yet.
        """
        self._memo.turn()
        options = self._options or Options()
        merged, conflicts, room = merge(
            units, now, self._memo, options.namespace_limits, fitted=self._fitted, warming=warming
        )
        self._fitted = room.fitted
        retained = tuple(sorted({*translated.retained, *room.kept}))
        pools, without_cache = with_caches(
            merged.pools,
            merged.hosts,
            translated.attached,
            options.namespace_limits,
            memory=options.cache_memory,
            by_default=options.cache_by_default,
        )
        self._model = model = with_unchanged(self._model, dataclasses.replace(merged, pools=pools))
        expired = judge(model.certificates, translated.index, now)
        policies = judge_attachments(translated.attached, model, with_filter=options.with_filter)
        found = ordered(
            [*translated.diagnostics, *conflicts, *expired, *policies, *without_cache, *further], self._memo
        )
        return Result(model, found, retained, translated.attached.attachments)


def _ours(index: Index, options: Options, diagnostics: list[Diagnostic]) -> list[Object]:
    found = []
    for object_ in index.objects.values():
        front_end = FRONT_ENDS.get(object_.KIND)
        if front_end is not None:
            ours, diagnostic = front_end.is_ours(object_, index, options)
            if ours:
                found.append(object_)
            if diagnostic is not None:
                diagnostics.append(diagnostic)
    return found


def _asked(owner: Object) -> Asked:
    return FRONT_ENDS[owner.KIND].asked(owner)


def _translated(owner: Object, index: Index, options: Options) -> Unit:
    return FRONT_ENDS[owner.KIND].translate(owner, index, options)


def _changed(before: Mapping[Key, Object], now: Mapping[Key, Object]) -> set[Key]:
    """Return the objects that are new, removed or changed."""
    others = itertools.compress(now, map(operator.is_not, map(before.get, now), now.values()))
    return {key for key in others if before.get(key) != now[key]} | (before.keys() - now.keys())


def _differing(before: Mapping[Key, MilvusPolicy], now: Mapping[Key, MilvusPolicy]) -> set[Key]:
    """Return the objects that have another policy than before."""
    return {target for target in before.keys() | now.keys() if before.get(target) != now.get(target)}
