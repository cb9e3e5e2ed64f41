"""Builds the status of an instance."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from kiteway import __version__
from kiteway.envoy.admin import AdminClient, AdminError
from kiteway.envoy.ads import AdsState, RejectedAt
from kiteway.envoy.calls import Calls
from kiteway.envoy.clusters import ClusterStatus, EndpointStatus
from kiteway.envoy.open_listeners import open_listeners
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.statistics import HANDSHAKES
from kiteway.envoy.xds.clusters import keepalive
from kiteway.envoy.xds.common import grpc_cluster_name
from kiteway.filter import missing_reason
from kiteway.model import LoadBalancer, Pool
from kiteway.pipeline.pipeline import Outcome
from kiteway.quarantine.quarantine import Quarantined
from kiteway.report.certificates import ManagedCertificateReport
from kiteway.report.configuration import ConfigurationReport, QuarantineReport, RejectionReport
from kiteway.report.pools import EndpointHealth, EndpointReport, PoolReport
from kiteway.report.problem import Problem
from kiteway.report.routing import ListenerReport
from kiteway.report.status import EnvoyReport, FilterReport, State, Status
from kiteway.status.backend_tls import upstream_tls_report
from kiteway.status.caches import cache_reports
from kiteway.status.calls import EndpointCounts
from kiteway.status.exports import ExportWatch
from kiteway.status.health import EndpointCheck, endpoint_checks, none_passes, none_serves
from kiteway.status.health_watch import HealthWatch
from kiteway.status.model import certificate_reports, host_reports
from kiteway.status.policy import attachment_reports
from kiteway.status.readiness import shortcomings

_OF_FILTER = r"^cluster\.pool/[^.]+\.kiteway\..*_total\."


async def build_status(
    settings: EnvoySettings,
    outcome: Outcome | None,
    ads: AdsState,
    admin: AdminClient,
    watch: HealthWatch,
    *,
    reason: str,
    managed: Sequence[ManagedCertificateReport] = (),
    calls: Calls | None,
    exports: ExportWatch,
) -> Status:
    """
    Return the status. What Envoy does not answer is left empty, and ``envoy.error`` says why.

    Args:
        settings: the settings of the data plane.
        outcome: what the last round of the pipeline gave; None before the first.
        ads: the state of the ADS server.
        admin: Envoy's admin API.
        watch: the history of the endpoints' health.
        reason: why the instance is not ready; empty when it is.
        managed: the ManagedCertificates.
        calls: what the filter has counted; None if it did not answer.
        exports: the history of the exports to a collector.
    """
    clusters: dict[str, ClusterStatus] = {}
    statistics: dict[str, int] = {}
    try:
        info = await admin.server_info()
        clusters = await admin.clusters()
        # For each request Envoy goes through all its statistics.
        statistics = await admin.stats(f"{_OF_FILTER}|^(?:{HANDSHAKES})$")
        envoy = EnvoyReport(
            reachable=True, version=_release(info.version), state=info.state, uptime_seconds=info.uptime_seconds
        )
        await watch.take(clusters, dt.datetime.now(dt.UTC), uptime=info.uptime_seconds)
        await exports.look()
    except AdminError as error:
        envoy = EnvoyReport(error=str(error))
    model = outcome.model if outcome else LoadBalancer()
    diagnostics = outcome.diagnostics if outcome else ()

    def build() -> Status:
        snapshot = outcome.snapshot if outcome else None
        caches = cache_reports(model, calls, with_filter=settings.filter_path is not None)
        counts = EndpointCounts(calls, clusters)
        pools = tuple(
            msgspec.structs.replace(
                _pool(pool, clusters, endpoint_checks(pool, snapshot), statistics, watch=watch, counts=counts),
                cache=caches[pool.key],
            )
            for pool in model.pools
        )
        failing = [*none_passes(pools, fail_open=settings.fail_open), *none_serves(pools, dt.datetime.now(dt.UTC))]
        reasons = [reason] if reason else [*shortcomings(outcome, ads), *failing]
        return Status(
            version=__version__,
            state=State.NOT_READY if reason else State.DEGRADED if reasons else State.READY,
            reasons=tuple(reasons),
            ready=not reason,
            reason=reason,
            envoy=envoy,
            filter=_filter(settings, statistics),
            configuration=_configuration(outcome, ads),
            listeners=tuple(
                ListenerReport(each.protocol, each.address, each.port) for each in open_listeners(model, settings)
            ),
            hosts=host_reports(model),
            certificates=certificate_reports(model),
            managed_certificates=tuple(managed),
            pools=pools,
            replicas=model.replicas,
            policies=attachment_reports(outcome.attachments) if outcome else (),
            export=exports.report(),
            diagnostics=tuple(map(Problem.of_diagnostic, diagnostics)),
        )

    # Parsing thousands of certificates takes seconds; the event loop answers probes meanwhile.
    return await asyncio.to_thread(build)


def _release(version: str) -> str:
    """Return the release in Envoy's ``commit/release/status/build/library``."""
    parts = version.split("/")
    return parts[1] if len(parts) > 1 else version


def _pool(
    pool: Pool,
    clusters: Mapping[str, ClusterStatus],
    checks: Mapping[str, EndpointCheck],
    handshakes: Mapping[str, int],
    *,
    watch: HealthWatch,
    counts: EndpointCounts,
) -> PoolReport:
    cluster = clusters.get(grpc_cluster_name(pool.key))

    def endpoint(status: EndpointStatus, name: str) -> EndpointReport:
        trouble = watch.serving.trouble(pool.key, status.address)
        check, health = checks.get(status.address), EndpointHealth.of_failures(status.failures)
        fails = health is EndpointHealth.FAILING
        return EndpointReport(
            address=status.address,
            healthy=status.healthy,
            health=health,
            failures=tuple(sorted(status.failures)),
            check=str(check) if check else "",
            check_fails=fails,
            why=watch.why(check) if check and fails else "",
            since=watch.since(name, status.address),
            calls_fail=str(trouble[0]) if trouble else "",
            calls_fail_since=trouble[1] if trouble else None,
            calls=counts.of(pool.key, status.address).calls,
            errors=counts.of(pool.key, status.address).errors,
            active=status.attempts.active,
        )

    return PoolReport(
        name=str(pool.key),
        protocol=pool.protocol,
        rest=pool.rest,
        endpoints=tuple(endpoint(each, cluster.name) for each in cluster.endpoints) if cluster else (),
        tls=upstream_tls_report(pool, handshakes),
        keepalive_seconds=keepalive(pool),
    )


def _filter(settings: EnvoySettings, statistics: Mapping[str, int]) -> FilterReport:
    """Report whether Envoy has the filter, and what it counted in all pools together."""
    counters: Counter[str] = Counter()
    for name, count in statistics.items():
        _, ours, counter = name.partition(".kiteway.")
        if ours:
            counters[counter] += count
    loaded = settings.filter_path is not None
    return FilterReport(
        loaded=loaded,
        reason="" if loaded else missing_reason(),
        counters={name: count for name, count in sorted(counters.items()) if count},
    )


def _configuration(outcome: Outcome | None, ads: AdsState) -> ConfigurationReport:
    rejections = tuple(_rejection(refusal) for stream in ads.streams[-1:] for refusal in stream.refusals)
    if outcome is None:
        return ConfigurationReport(ads.version, rejections)
    return ConfigurationReport(
        ads.version,
        rejections,
        tuple(map(_quarantined, outcome.quarantine.held)),
        tuple(map(str, outcome.retained)),
    )


def _rejection(rejected: RejectedAt) -> RejectionReport:
    rejection = rejected.rejection
    return RejectionReport(
        at=rejected.time,
        type=rejection.type_url.rpartition(".")[2],
        resources=tuple(rejection.named or rejection.resources),
        message=rejection.message,
    )


def _quarantined(held: Quarantined) -> QuarantineReport:
    return QuarantineReport(str(held.ref), held.message, held.since, held.served)
