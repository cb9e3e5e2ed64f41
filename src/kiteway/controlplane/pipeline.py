"""Resources -> model -> snapshot, again and again, at the cost of what changed."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from kiteway.diagnostics import Diagnostic, ObjectRef, ordered
from kiteway.envoy.ads import ENDPOINT, Resource, Snapshot
from kiteway.envoy.ads.snapshot import Resources as SnapshotResources
from kiteway.envoy.ads.snapshot import type_url
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.build import build, build_endpoints
from kiteway.envoy.xds.kept import Kept
from kiteway.model import Challenge, Endpoint, LoadBalancer, Pool
from kiteway.resources import EndpointSlice
from kiteway.sources.files import Resources
from kiteway.translate import Endpoints, Options, Translator
from kiteway.translate.draining import Draining
from kiteway.translate.endpoints import ServiceName


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What one round of the pipeline gave.

    Attributes:
        model: what the resources mean.
        snapshot: what Envoy shall run.
        diagnostics: everything that is wrong.
        retained: Ingresses that keep their last good form.
        translation: those of ``diagnostics`` that came of what is balanced, not of reading objects.
    """

    model: LoadBalancer
    snapshot: Snapshot
    diagnostics: tuple[Diagnostic, ...]
    retained: tuple[ObjectRef, ...]
    translation: tuple[Diagnostic, ...] = ()


class Pipeline:
    """The stages between the sources and the ADS server, with the last value of each."""

    def __init__(self, settings: EnvoySettings) -> None:
        self._settings = settings
        self._translator = Translator()
        self._kept = Kept()
        self._endpoints = Endpoints()
        self._draining = Draining()
        self._pools: dict[ServiceName, list[Pool]] = {}
        self._translated: tuple[Diagnostic, ...] = ()
        self._missing: list[Diagnostic] = []
        self.outcome: Outcome | None = None

    def run(
        self,
        resources: Resources,
        static: Mapping[ServiceName, tuple[Endpoint, ...]],
        now: dt.datetime,
        options: Options,
        challenges: tuple[Challenge, ...] = (),
    ) -> Outcome:
        """Translate all resources and return what Envoy shall run, with what a CA shall see beside it."""
        result = self._translator.translate(resources.objects, options, now, resources.failed)
        self._endpoints.replace(resources.objects)
        self._endpoints.set_static(static)
        model = dataclasses.replace(result.model, challenges=challenges)
        self._kept.turn()
        messages: list[Message] = build(model, self._settings, self._kept)
        self._draining.keep({pool.key for pool in result.model.pools})
        messages += self._build_endpoints(result.model.pools, now, self._kept)
        self._pools = {}
        for pool in result.model.pools:
            self._pools.setdefault((pool.key.namespace, pool.key.service), []).append(pool)
        self._translated = (*resources.diagnostics, *result.diagnostics)
        self._missing = self._endpoints.missing(result.model.pools)
        self.outcome = Outcome(
            model,
            self._snapshot(messages),
            ordered([*self._translated, *self._missing]),
            result.retained,
            result.diagnostics,
        )
        return self.outcome

    def run_endpoints(self, static: Mapping[ServiceName, tuple[Endpoint, ...]], now: dt.datetime) -> Outcome | None:
        """Take new static endpoints; nothing is translated. Return None before the first round."""
        if self.outcome is None:
            return None
        self._endpoints.set_static(static)
        return self._with_endpoints(self.outcome, self.outcome.model.pools, now)

    def run_slices(
        self, removed: Iterable[EndpointSlice], updated: Iterable[EndpointSlice], now: dt.datetime
    ) -> Outcome | None:
        """Take EndpointSlices that are gone or changed; costs what changed. Return None before the first round."""
        if self.outcome is None:
            return None
        services = {self._endpoints.remove(slice_) for slice_ in removed}
        services |= {self._endpoints.update(slice_) for slice_ in updated}
        pools = [pool for service in sorted(services) for pool in self._pools.get(service, ())]
        return self._with_endpoints(self.outcome, pools, now)

    def run_drained(self, now: dt.datetime) -> Outcome | None:
        """Take out the endpoints that have drained. Return None when there is none."""
        ended = self._draining.ended(now)
        if self.outcome is None or not ended:
            return None
        return self._with_endpoints(self.outcome, [p for p in self.outcome.model.pools if p.key in ended], now)

    def next_drained(self) -> dt.datetime | None:
        """Return when `run_drained` has something to do; None when nothing drains."""
        return self._draining.next_end()

    def _build_endpoints(
        self, pools: Collection[Pool], now: dt.datetime, kept: Kept | None = None
    ) -> Sequence[Message]:
        table = {pool.key: self._draining.update(pool, self._endpoints.of(pool.key), now) for pool in pools}
        return build_endpoints(pools, table, kept)

    def _snapshot(self, messages: Iterable[Message]) -> Snapshot:
        """Serialise what was not there in the last round."""
        types: dict[str, list[Resource]] = {}
        for message in messages:
            types.setdefault(type_url(message), []).append(self._kept(Resource.of, message))
        found = {kind: self._kept(_resources, tuple(these)) for kind, these in types.items()}
        return Snapshot(found)

    def _with_endpoints(self, before: Outcome, pools: Collection[Pool], now: dt.datetime) -> Outcome:
        """Build the endpoints of ``pools`` anew; everything else stays."""
        messages = self._build_endpoints(pools, now)
        missing = self._endpoints.missing(before.model.pools)
        diagnostics = before.diagnostics
        if missing != self._missing:
            self._missing, diagnostics = missing, ordered([*self._translated, *missing])
        self.outcome = dataclasses.replace(
            before,
            snapshot=before.snapshot.replace(ENDPOINT, map(Resource.of, messages)),
            diagnostics=diagnostics,
        )
        return self.outcome


def _resources(members: tuple[Resource, ...]) -> SnapshotResources:
    return SnapshotResources(members)
