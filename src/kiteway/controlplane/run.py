"""The event loop of the control plane."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import structlog

from kiteway.acme.challenge_server import ChallengeServer
from kiteway.acme.manager import ManagedCertificates
from kiteway.collector import collect_later
from kiteway.controlplane.access_log import AccessLog
from kiteway.controlplane.config import Config
from kiteway.controlplane.events import wait_at_most
from kiteway.controlplane.managed import converged, wanted
from kiteway.controlplane.recognition import Recognition
from kiteway.controlplane.source import Files, Reports, Source
from kiteway.controlplane.verdicts import Verdicts
from kiteway.diagnostics import Diagnostic, Severity
from kiteway.envoy.admin import AdminClient, AdminError
from kiteway.envoy.ads import LISTENER, AdsServer
from kiteway.envoy.calls import CallsClient
from kiteway.envoy.descriptors import Descriptors
from kiteway.instance import Instance
from kiteway.metrics.controlplane import ControlPlaneMetrics, Now
from kiteway.metrics.probes import Probes
from kiteway.metrics.server import application as scraping
from kiteway.metrics.server import scraped
from kiteway.model import LoadBalancer
from kiteway.pipeline.pipeline import Outcome, Pipeline
from kiteway.quarantine.store import FILE_NAME, read
from kiteway.report.certificates import ManagedCertificateReport
from kiteway.report.pools import CheckedEndpoint
from kiteway.report.problem import Problem
from kiteway.report.status import Errors, Status
from kiteway.resources import EndpointSlice
from kiteway.sources.files import SourceContent
from kiteway.sources.static import RESOLVE_SECONDS, StaticEndpoints
from kiteway.status.calls import read_calls
from kiteway.status.exports import ExportWatch
from kiteway.status.health_watch import HealthWatch, probe_check
from kiteway.status.readiness import shortcomings, why_not_serving
from kiteway.status.report import build_status
from kiteway.status.server import application, serve
from kiteway.status.serving import probe_serving
from kiteway.translate import Options

_log = structlog.get_logger(__name__)

_REREAD_SECONDS = 3600.0
"""Seconds after which everything is translated again: certificates expire without any file changing."""
_RECOGNITION_SECONDS = 1.0
"""Seconds between two checks which pools are Milvus, at least."""
_FIRST_LOOK_SECONDS = 0.3
"""Seconds that the first configuration waits for the first of these checks."""
_REPLICAS_SECONDS = 1.0
"""Seconds between two counts of the live replicas: no event tells of a replica that has died."""
_LOGGED = 100
"""Diagnostics of one round that are logged: thousands of lines take a tenth of a second, while everything else waits."""
_RETRY_SECONDS, _RETRY_LONGEST_SECONDS = 2.0, 32.0
"""Seconds before a listener that Envoy rejects is sent again, the first pause and the longest; Envoy logs each rejection."""


async def run(config: Config) -> int:
    """Run until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    instance = Instance(Path(config.data_dir))
    async with AdminClient(instance.admin_socket) as admin, CallsClient(instance.calls_socket) as calls:
        controlplane = ControlPlane(config, admin, calls, AdsServer(instance.ads_socket))
        await controlplane.start()
        probes = Probes(controlplane.why_not_ready)
        try:
            async with (
                serve(
                    instance.status_socket,
                    application(
                        controlplane.why_not_ready, controlplane.status, controlplane.errors, controlplane.checked
                    ),
                ),
                scraped(
                    config.metrics_bind,
                    scraping(controlplane.metrics, admin, calls, probes),
                    answer=probes.answer,
                ),
            ):
                tasks = [asyncio.create_task(work) for work in controlplane.work()]
                tasks.append(asyncio.create_task(stop.wait()))
                done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in pending:
                    task.cancel()
                await asyncio.gather(*pending, return_exceptions=True)
                for task in done:
                    task.result()
        finally:
            await controlplane.stop()
    return 0


class ControlPlane:
    """The sources, the pipeline and the ADS server of one instance."""

    def __init__(self, config: Config, admin: AdminClient, calls: CallsClient, ads: AdsServer) -> None:
        self._config = config
        self._admin = admin
        self._calls = calls
        self._ads = ads
        self._static = StaticEndpoints(config.endpoints)
        quarantine = Instance(Path(config.data_dir)).state_dir / FILE_NAME
        # Above those of earlier control planes, whose Envoy may still run with what its filter keeps.
        epoch = round(time.time() * 1000)
        self._pipeline = Pipeline(
            config.settings,
            read(quarantine),
            epoch,
            own_manifests=config.own_manifests,
            files=config.kubernetes is None,
            descriptors=Descriptors.of_this_process(),
        )
        self._source = _source(config, admin, self._managed_reports, self._bare_envoy)
        self._challenge_server = ChallengeServer(config.settings, self._translate, lambda: converged(ads))
        self._managed = ManagedCertificates(
            config.acme,
            self._source.storage,
            self._source.presenter(self._challenge_server, self._look_again),
            config.settings,
            self._translate,
            addresses=self._source.addresses,
        )
        self.metrics = ControlPlaneMetrics(self._state)
        self._round = asyncio.Lock()
        self._changed = asyncio.Event()
        self._verdicts = Verdicts(
            self._pipeline, ads, admin, self._round, publish=self._publish_judged, file=quarantine
        )
        self._recognition = Recognition()
        same_network = config.settings.listener_network_namespace is None
        probes = (probe_check, probe_serving) if same_network else (None, None)
        self._health = HealthWatch(admin, lambda: self._pipeline.outcome, *probes)
        self._exports = ExportWatch(admin, config.settings.otlp)
        self._published = asyncio.Event()
        self._replicas = 1
        self._loads = 0
        self._read: SourceContent | None = None

    async def start(self) -> None:
        """Serve ADS; the first configuration comes from `work`."""
        await self._ads.start()

    async def stop(self) -> None:
        """End the streams; Envoy serves on with the configuration that it has."""
        await self._ads.stop()

    def work(self) -> list[Any]:
        """Return the coroutines that run until the end."""
        work = [
            self._follow_time(),
            self._follow_drains(),
            self._follow_endpoints(),
            self._follow_rejected_listeners(),
            self._follow_replicas(),
            self._verdicts.run(),
            self._verdicts.follow_warming(),
            self._verdicts.keep(),
            self._managed.run(),
            self._health.run(),
            self._follow_source(),
        ]
        if self._config.settings.otlp is not None:
            work.append(self._exports.run())
        if self._config.settings.access_log is not None:
            work.append(AccessLog(self._config.settings.access_log, self._admin).run())
        return [*work, self._follow_names()] if self._config.endpoints else work

    async def why_not_ready(self) -> str:
        """Return why Envoy does not serve the configuration; empty when it does and is live."""
        if incomplete := self._source.why_incomplete():
            return incomplete
        outcome = self._pipeline.outcome
        if outcome is None:
            return "the first configuration is being built"
        if not_serving := why_not_serving(self._ads.state, outcome.quarantine):
            return not_serving
        try:
            return "" if await self._admin.ready() else "Envoy is starting or draining"
        except AdminError as error:
            return str(error)

    async def status(self) -> Status:
        """Return the value of ``kiteway status``."""
        reason = await self.why_not_ready()
        outcome, settings = self._pipeline.outcome, self._config.settings
        return await build_status(
            settings,
            outcome,
            self._ads.state,
            self._admin,
            self._health,
            reason=reason,
            managed=self._managed.report(),
            calls=await read_calls(self._calls, with_filter=settings.filter_path is not None),
            exports=self._exports,
        )

    def errors(self) -> Errors:
        """Return the diagnostics that are errors or warnings; Envoy is not asked for it."""
        outcome = self._pipeline.outcome
        diagnostics = outcome.diagnostics if outcome else ()
        errors, warnings = (
            tuple(Problem.of_diagnostic(d) for d in diagnostics if d.severity is severity)
            for severity in (Severity.ERROR, Severity.WARNING)
        )
        retained = tuple(map(str, outcome.retained)) if outcome else ()
        return Errors(errors=errors, warnings=warnings, retained=retained, loads=self._loads)

    def checked(self) -> tuple[tuple[CheckedEndpoint, ...], ...]:
        """Return the endpoints of each pool and their checks, as they were seen last; Envoy is not asked for it."""
        return self._health.checked()

    @property
    def outcome(self) -> Outcome | None:
        """The published outcome; None before the first round."""
        return self._pipeline.outcome

    def _state(self) -> Now:
        outcome = self._pipeline.outcome
        if outcome is None:
            return Now(self._ads.state, LoadBalancer(), ())
        return Now(
            self._ads.state,
            outcome.model,
            outcome.diagnostics,
            quarantined=len(outcome.quarantine.held),
            shortcomings=len(shortcomings(outcome, self._ads.state)),
            managed=tuple(self._managed.report()),
        )

    async def _bare_envoy(self) -> None:
        """Return when an Envoy has connected that has no configuration."""
        async for state in self._ads.changes():
            if any(stream.bare for stream in state.streams):
                return

    def _managed_reports(self) -> list[ManagedCertificateReport]:
        return self._managed.report()

    def _look_again(self, folder: str) -> None:
        self._managed.look_again(folder)

    async def _translate(self) -> None:
        async with self._round:
            static = await self._static.resolve()
            before = self._pipeline.outcome
            with self.metrics.translation():
                resources = self._read = await self._source.read()
                options = Options(
                    ingress_class=self._config.ingress_class,
                    ssl_policies=self._config.ssl_policies,
                    namespace_limits=self._config.namespace_limits,
                    cache_memory=self._config.cache_memory,
                    cache_by_default=self._config.cache_by_default,
                    with_filter=self._config.settings.filter_path is not None,
                    http_port=self._config.settings.http_port is not None,
                    gke=self._source.on_gke(),
                )
                await self._managed.update(wanted(resources.objects, options))
                options = dataclasses.replace(options, issued=self._managed.served)
                with collect_later():
                    # In a thread, so that probes and status are answered meanwhile.
                    outcome = await asyncio.to_thread(
                        self._pipeline.run, resources, static, _now(), options, self._challenge_server.challenges
                    )
                    if before is None:
                        # A control plane that was restarted must not send an Envoy that serves another keepalive for a moment.
                        addresses = await asyncio.to_thread(self._pipeline.health_addresses)
                        if await self._recognition.look(addresses, _FIRST_LOOK_SECONDS):
                            outcome = await self._recognized() or outcome
                    self._managed.hold({host.domain: host.source.namespace for host in outcome.model.hosts})
                    await self._publish(outcome)
            self._source.translated(outcome)
        news = _news(before.diagnostics if before is not None else (), outcome.diagnostics)
        for diagnostic in news[:_LOGGED]:
            _log.info(diagnostic.reason, text=str(diagnostic))
        if len(news) > _LOGGED:
            _log.info("more diagnostics", number=len(news) - _LOGGED, see="kiteway status")
        if before is None or before.snapshot.version != outcome.snapshot.version:
            _log.info("configuration", version=outcome.snapshot.version, hosts=len(outcome.model.hosts))

    async def _recognized(self) -> Outcome | None:
        return await asyncio.to_thread(self._pipeline.recognize, self._recognition.milvus, _now())

    async def _follow_endpoints(self) -> None:
        """Find out which pools are Milvus."""
        while True:
            await wait_at_most(self._published, self._recognition.next_due)
            # Changes in quick succession cost one check.
            await asyncio.sleep(_RECOGNITION_SECONDS)
            self._published.clear()
            async with self._round:
                addresses = await asyncio.to_thread(self._pipeline.health_addresses)
            if await self._recognition.look(addresses):
                async with self._round:
                    await self._publish(await self._recognized())

    async def _take_slices(self, removed: Iterable[EndpointSlice], updated: Iterable[EndpointSlice]) -> None:
        async with self._round:
            await self._publish(await asyncio.to_thread(self._pipeline.run_slices, removed, updated, _now()))

    async def _follow_source(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._source.follow(self._load, self._take_slices))
            # A cluster that was not listed yet is translated when it is.
            if not self._source.why_incomplete():
                tasks.create_task(self._translate())

    async def _load(self) -> None:
        before = self._read
        await self._translate()
        self._loads += self._read != before

    async def _follow_time(self) -> None:
        while True:
            await asyncio.sleep(_REREAD_SECONDS)
            await self._translate()

    async def _follow_names(self) -> None:
        while True:
            await asyncio.sleep(RESOLVE_SECONDS)
            async with self._round:
                static = await self._static.resolve()
                await self._publish(await asyncio.to_thread(self._pipeline.run_endpoints, static, _now()))

    async def _follow_drains(self) -> None:
        while True:
            outcome = self._pipeline.outcome
            end = outcome.next_drained if outcome is not None else None
            wait = None if end is None else max(0.0, (end - _now()).total_seconds())
            # After a change other endpoints can be the next whose drain ends.
            await wait_at_most(self._changed, wait)
            self._changed.clear()
            async with self._round:
                await self._publish(await asyncio.to_thread(self._pipeline.run_drained, _now()))

    async def _follow_replicas(self) -> None:
        """Divide the limits of policies among the replicas that are live."""
        while True:
            replicas = self._source.replicas()
            if replicas != self._replicas:
                async with self._round:
                    await self._publish(await asyncio.to_thread(self._pipeline.scale, replicas, _now()))
                self._replicas = replicas
                _log.info("replicas", live=replicas)
            await asyncio.sleep(_REPLICAS_SECONDS)

    async def _follow_rejected_listeners(self) -> None:
        """Send listeners again that Envoy rejects: their addresses can be free by now."""
        wait = _RETRY_SECONDS
        while True:
            await asyncio.sleep(wait)
            rejected = any(LISTENER in stream.missing and stream.refusals for stream in self._ads.state.streams)
            wait = min(2 * wait, _RETRY_LONGEST_SECONDS) if rejected else _RETRY_SECONDS
            if rejected:
                self._ads.retry()

    async def _publish(self, outcome: Outcome | None) -> None:
        if outcome is not None:
            await self._ads.publish(outcome.snapshot)
            self._changed.set()
            self._published.set()

    async def _publish_judged(self, outcome: Outcome | None) -> None:
        await self._publish(outcome)
        if outcome is not None:
            self._source.judged(outcome)


def _news(before: tuple[Diagnostic, ...], now: tuple[Diagnostic, ...]) -> list[Diagnostic]:
    """Return the diagnostics of ``now`` that are not in ``before``; identity is compared first, as most objects are the same."""
    same = set(map(id, before))
    others = [diagnostic for diagnostic in now if id(diagnostic) not in same]
    known = set(before) if others else set()
    return [diagnostic for diagnostic in others if diagnostic not in known]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _source(config: Config, admin: AdminClient, managed: Reports, bare: Callable[[], Awaitable[None]]) -> Source:
    if config.kubernetes is None:
        state_dir = Instance(Path(config.data_dir)).state_dir
        paths = tuple(map(Path, config.paths))
        return Files(state_dir, paths, config.certificates, bare, recursive=config.recursive)
    from kiteway.controlplane.cluster import Cluster

    return Cluster(config.kubernetes, config, admin, managed)
