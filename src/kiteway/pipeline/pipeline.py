"""Resources -> model -> snapshot, round after round, at the cost of what changed."""

from __future__ import annotations

import dataclasses
import datetime as dt
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from kiteway.diagnostics import Diagnostic, ObjectRef, ordered
from kiteway.envoy.ads import ENDPOINT, LISTENER, ROUTE, Rejection, Resource, Snapshot
from kiteway.envoy.descriptors import Descriptors
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.assembled import Assembled
from kiteway.envoy.xds.build import build_resources, shared_tables
from kiteway.envoy.xds.trial import trial_listener, trial_tables
from kiteway.memo import Memo
from kiteway.model import Challenge, Endpoint, LoadBalancer, Pool, PoolKey, ServiceName
from kiteway.pipeline.advice import for_the_user
from kiteway.pipeline.assignments import Assignments
from kiteway.pipeline.cache_epochs import CacheEpochs
from kiteway.pipeline.health_addresses import HealthAddresses, health_addresses
from kiteway.quarantine.quarantine import Quarantine, QuarantineState
from kiteway.quarantine.store import Stored
from kiteway.resources import EndpointSlice, Object
from kiteway.sources.files import SourceContent
from kiteway.translate import Options, Translated, Translator
from kiteway.translate.ingress.served import nothing_served
from kiteway.translate.policy.attachment import Attachment
from kiteway.translate.shared.endpoints import unknown_services
from kiteway.translate.shared.unit import Unit


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    The result of one round of the pipeline.

    Attributes:
        model: what the resources mean.
        snapshot: what is published to Envoy.
        diagnostics: everything that is wrong.
        retained: objects that keep their last good form.
        translation: those of ``diagnostics`` that come from the translation, not from reading objects.
        empty: pools without any endpoint.
        quarantine: which Ingresses are held back, and the state of the search for them.
        generation: counts the snapshots that were published; Envoy's verdict is on one of them.
        next_drained: when `Pipeline.run_drained` is due; None when nothing drains.
        attachments: what became of each target of each MilvusPolicy.
    """

    model: LoadBalancer
    snapshot: Snapshot
    diagnostics: tuple[Diagnostic, ...]
    retained: tuple[ObjectRef, ...]
    translation: tuple[Diagnostic, ...] = ()
    empty: frozenset[PoolKey] = frozenset()
    quarantine: QuarantineState = field(default_factory=QuarantineState)
    generation: int = 0
    next_drained: dt.datetime | None = None
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class _Round:
    """The last translation; ``reading`` has the diagnostics of reading the resources, which are ``objects``."""

    objects: tuple[Object, ...]
    reading: tuple[Diagnostic, ...]
    translated: Translated
    challenges: tuple[Challenge, ...]


def _recognized(last: tuple[Pool, ...] | None, pools: tuple[Pool, ...], milvus: frozenset[PoolKey]) -> tuple[Pool, ...]:
    """Return the pools, marked where Milvus was recognized; pools equal to those in ``last`` are the same objects."""
    if not milvus:
        return pools
    before = {pool.key: pool for pool in last or ()}
    found = (dataclasses.replace(pool, milvus=True) if pool.key in milvus else pool for pool in pools)
    return tuple([known if (known := before.get(pool.key)) is not None and known == pool else pool for pool in found])


def _in_epochs(
    last: tuple[Pool, ...] | None, pools: tuple[Pool, ...], epochs: Mapping[PoolKey, int]
) -> tuple[Pool, ...]:
    """Return the pools, their caches with their epochs; pools equal to those in ``last`` are the same objects."""
    if not epochs:
        return pools
    before = {pool.key: pool for pool in last or ()}
    found = []
    for pool in pools:
        if pool.cache is None:
            found.append(pool)
            continue
        now = dataclasses.replace(pool, cache=dataclasses.replace(pool.cache, epoch=epochs[pool.key]))
        known = before.get(pool.key)
        found.append(known if known is not None and known == now else now)
    return tuple(found)


class Pipeline:
    """
    Runs the stages between the sources and the ADS server, and caches the last value of each.

    One round runs at a time, in any thread. ``outcome`` may be read during a round: it is replaced, never changed.
    """

    def __init__(
        self,
        settings: EnvoySettings,
        stored: Stored | None = None,
        first_epoch: int = 1,
        *,
        own_manifests: str | None = None,
        files: bool = False,
        descriptors: Descriptors | None = None,
    ) -> None:
        """
        Start.

        Args:
            settings: the settings of the data plane.
            stored: the quarantine of the last process, if there is one.
            first_epoch: see `CacheEpochs`.
            own_manifests: see `kiteway.pipeline.advice`.
            files: whether the resources are a set of files, so that it is a mistake if they define no host. A cluster may
                have no Ingress for Kiteway yet.
            descriptors: what Envoy can hold; None: any number of endpoints.
        """
        self._settings = settings
        self._files = files
        self._own_manifests = own_manifests
        self._translator = Translator()
        self._quarantine = Quarantine(stored)
        self._memo = Memo()
        self._addresses = Memo()
        self._assignments = Assignments(descriptors)
        self._round: _Round | None = None
        self._translated: tuple[Diagnostic, ...] = ()
        self._members: dict[str, tuple[Resource, ...]] = {}
        self._chosen: tuple[Unit, ...] = ()
        self._milvus: frozenset[PoolKey] = frozenset()
        self._replicas = 1
        self._epochs = CacheEpochs(first_epoch)
        self._tables: tuple[Assembled, ...] = ()
        self._rejected: tuple[Assembled, ...] = ()
        self._generation = 0
        self.outcome: Outcome | None = None

    def run(
        self,
        resources: SourceContent,
        static: Mapping[ServiceName, tuple[Endpoint, ...]],
        now: dt.datetime,
        options: Options,
        challenges: tuple[Challenge, ...] = (),
    ) -> Outcome:
        """Translate all resources and return what is published to Envoy, ACME challenges included."""
        translated = self._translator.units(resources.objects, options, resources.failed)
        self._quarantine.want(translated.units)
        self._assignments.limit(options.namespace_limits.endpoints)
        self._assignments.set_static(static)
        self._assignments.set_objects(resources.objects)
        unknown = unknown_services(static, resources.objects)
        self._round = _Round(resources.objects, (*resources.diagnostics, *unknown), translated, challenges)
        return self._build(self._round, now)

    def judge(self, take: Callable[[Quarantine], None], now: dt.datetime) -> Outcome | None:
        """
        Let the quarantine take a verdict of Envoy, or its absence; nothing is translated.

        Returns None when nothing new is published.
        """
        if self._round is None or self.outcome is None:
            return None
        take(self._quarantine)
        state, chosen = self._quarantine.state, self._quarantine.chosen()
        same = len(chosen) == len(self._chosen) and all(map(operator.is_, chosen, self._chosen))
        before = self.outcome.quarantine
        if state.apart and not before.apart:
            self._rejected = self._tables
        elif state.apart and same:
            return self._try_apart(self.outcome, state)
        if same and state.apart == before.apart and state.held == before.held and state.withheld == before.withheld:
            self.outcome = dataclasses.replace(self.outcome, quarantine=state)
            return None
        return self._build(self._round, now)

    def against(self, rejections: Iterable[Rejection]) -> list[Rejection]:
        """Return the rejections that are about the published snapshot, see `Quarantine.against`."""
        return self._quarantine.against(rejections)

    def recognize(self, milvus: frozenset[PoolKey], now: dt.datetime) -> Outcome | None:
        """
        Remember which pools were recognized as Milvus, and build a snapshot with them, without translating.

        Returns None before the first round.
        """
        self._milvus = milvus
        return self._build(self._round, now) if self._round is not None else None

    def scale(self, replicas: int, now: dt.datetime) -> Outcome | None:
        """
        Remember how many replicas of Kiteway are live, and build a snapshot for this number, without translating.

        Returns None before the first round, and if the number has not changed.
        """
        if replicas == self._replicas:
            return None
        self._replicas = replicas
        return self._build(self._round, now) if self._round is not None else None

    def health_addresses(self) -> HealthAddresses:
        """Return the health check addresses of each pool that has Milvus's own check."""
        if self.outcome is None:
            return {}
        self._addresses.turn()
        return {
            pool.key: there
            for pool in self.outcome.model.pools
            if (there := self._addresses(health_addresses, pool, self._assignments.of(pool)))
        }

    def stored(self) -> Stored:
        """Return the state of the quarantine for the next process."""
        return self._quarantine.stored()

    def _build(self, what: _Round, now: dt.datetime) -> Outcome:
        self._chosen = self._quarantine.chosen()
        result = self._translator.merge(
            what.translated,
            self._chosen,
            now,
            further=self._quarantine.diagnostics(),
            warming=self._quarantine.warming(),
        )
        self._memo.turn()
        pools = self._memo.again("recognized", _recognized, result.model.pools, self._milvus)
        self._epochs.replace(pools, self._assignments.given)
        pools = self._memo.again("epochs", _in_epochs, pools, self._epochs.by_pool)
        model = dataclasses.replace(result.model, challenges=what.challenges, pools=pools, replicas=self._replicas)
        members = build_resources(model, self._settings, self._memo)
        members[ENDPOINT] = self._assignments.replace(model.pools, now)
        self._tables = shared_tables(model, self._settings, self._memo)
        state = self._quarantine.state
        if self._rejected:
            # Once the listener was made, it stays: one that is removed drains for minutes, and so long nothing else is removed.
            members[LISTENER] += (Resource.of(trial_listener(self._rejected, self._settings)),)
            members[ROUTE] += self._on_trial(state)
        self._translated = (*what.reading, *result.diagnostics)
        # A host that waits for Envoy's verdict is not in the model either.
        if self._files and not (state.held or state.searching or state.parked):
            self._translated += tuple(nothing_served(what.objects, model))
        self._generation += 1
        self.outcome = Outcome(
            model,
            self._snapshot(members),
            self._diagnostics(),
            result.retained,
            result.diagnostics,
            self._assignments.empty,
            state,
            self._generation,
            self._assignments.next_drained(),
            result.attachments,
        )
        return self.outcome

    def _try_apart(self, before: Outcome, state: QuarantineState) -> Outcome:
        """Publish other Ingresses in the tables for trials; nothing else changes."""
        self._generation += 1
        snapshot = before.snapshot.replace(ROUTE, self._on_trial(state))
        self.outcome = dataclasses.replace(before, snapshot=snapshot, quarantine=state, generation=self._generation)
        return self.outcome

    def _on_trial(self, state: QuarantineState) -> tuple[Resource, ...]:
        """Return the parts of the rejected route tables that are on trial; empty ones if nothing is."""
        return tuple(each.resource() for each in trial_tables(self._rejected, state.apart))

    def run_endpoints(self, static: Mapping[ServiceName, tuple[Endpoint, ...]], now: dt.datetime) -> Outcome | None:
        """Take new static endpoints; nothing is translated. Return None before the first round."""
        if self.outcome is None:
            return None
        self._assignments.set_static(static)
        return self._with_endpoints(self.outcome, self.outcome.model.pools, now)

    def run_slices(
        self, removed: Iterable[EndpointSlice], updated: Iterable[EndpointSlice], now: dt.datetime
    ) -> Outcome | None:
        """Take removed and changed EndpointSlices at the cost of the change. Return None before the first round."""
        if self.outcome is None:
            return None
        return self._with_endpoints(self.outcome, self._assignments.take_slices(removed, updated), now)

    def run_drained(self, now: dt.datetime) -> Outcome | None:
        """Remove the endpoints that have finished draining. Return None when there is none."""
        ended = self._assignments.ended(now)
        if self.outcome is None or not ended:
            return None
        return self._with_endpoints(self.outcome, ended, now)

    def _snapshot(self, members: dict[str, tuple[Resource, ...]]) -> Snapshot:
        """Return a snapshot of ``members`` by type, which shares what is unchanged with the last one."""
        last = self.outcome.snapshot if self.outcome is not None else Snapshot()
        known, self._members = self._members, members
        return Snapshot(
            {
                # Endpoints also change between rounds, so the members of the last round say nothing about them.
                kind: last[kind] if these is known.get(kind) and kind != ENDPOINT else last[kind].become(these)
                for kind, these in members.items()
            }
        )

    def _with_endpoints(self, before: Outcome, pools: Iterable[Pool], now: dt.datetime) -> Outcome:
        """Build the endpoints of ``pools`` again; everything else is unchanged, except the epochs of caches."""
        pools = tuple(pools)
        if self._epochs.update(pools, self._assignments.given) and self._round is not None:
            return self._build(self._round, now)
        missing = dict(self._assignments.missing)
        changed = self._assignments.update(pools, now)
        self.outcome = dataclasses.replace(
            before,
            snapshot=before.snapshot.replace(ENDPOINT, changed),
            diagnostics=before.diagnostics if missing == self._assignments.missing else self._diagnostics(),
            empty=self._assignments.empty,
            next_drained=self._assignments.next_drained(),
        )
        return self.outcome

    def _diagnostics(self) -> tuple[Diagnostic, ...]:
        found = (*self._translated, *self._assignments.missing.values())
        return ordered(for_the_user(found, self._own_manifests), self._memo)
