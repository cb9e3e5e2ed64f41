"""Resources -> model -> snapshot, again and again, at the cost of what changed."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.message import Message

from kiteway.diagnostics import Diagnostic, ObjectRef, ordered
from kiteway.envoy.ads import ENDPOINT, Resource, Snapshot
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.build import build, build_endpoints
from kiteway.model import Challenge, Endpoint, LoadBalancer
from kiteway.sources.files import Resources
from kiteway.translate import Endpoints, Options, Translator
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
    """

    model: LoadBalancer
    snapshot: Snapshot
    diagnostics: tuple[Diagnostic, ...]
    retained: tuple[ObjectRef, ...]


class Pipeline:
    """The stages between the sources and the ADS server, with the last value of each."""

    def __init__(self, settings: EnvoySettings) -> None:
        self._settings = settings
        self._translator = Translator()
        self._endpoints = Endpoints()
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
        messages: list[Message] = build(model, self._settings)
        messages += build_endpoints(result.model.pools, self._endpoints.table(result.model.pools))
        self.outcome = Outcome(
            model,
            Snapshot.of(messages),
            ordered([*resources.diagnostics, *result.diagnostics, *self._endpoints.missing(result.model.pools)]),
            result.retained,
        )
        return self.outcome

    def run_endpoints(self, static: Mapping[ServiceName, tuple[Endpoint, ...]]) -> Outcome | None:
        """Take new static endpoints; nothing is translated. Return None before the first round."""
        if self.outcome is None:
            return None
        self._endpoints.set_static(static)
        pools = self.outcome.model.pools
        messages = build_endpoints(pools, self._endpoints.table(pools))
        before = self.outcome
        self.outcome = Outcome(
            before.model,
            before.snapshot.replace(ENDPOINT, map(Resource.of, messages)),
            before.diagnostics,
            before.retained,
        )
        return self.outcome
