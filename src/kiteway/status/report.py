"""What `kiteway status` shows: one plain value."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from kiteway import __version__
from kiteway.envoy.admin import AdminClient, AdminError, ClusterStatus
from kiteway.envoy.ads import AdsState, RejectedAt
from kiteway.envoy.open_listeners import open_listeners
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.statistics import HANDSHAKES
from kiteway.envoy.xds.clusters import keepalive
from kiteway.envoy.xds.common import grpc_cluster_name, rest_cluster_name
from kiteway.filter import missing_reason
from kiteway.model import LoadBalancer, Pool
from kiteway.pipeline.pipeline import Outcome
from kiteway.quarantine.quarantine import Quarantined
from kiteway.status.backend_tls import tls_report
from kiteway.status.diagnostics import diagnostic_report
from kiteway.status.health import checks, fails_check, none_passes
from kiteway.status.model import model_report
from kiteway.status.readiness import shortcomings
from kiteway.status.state import State

_OF_FILTER = r"^cluster\.pool/[^.]+\.kiteway\..*_total\."


async def report(
    settings: EnvoySettings,
    outcome: Outcome | None,
    ads: AdsState,
    admin: AdminClient,
    *,
    reason: str,
    managed: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """
    Return everything there is to know; what Envoy cannot be asked just now is left out and said.

    Args:
        settings: the data plane's.
        outcome: what the last round gave; None before the first.
        ads: the state of the ADS server.
        admin: Envoy's admin API.
        reason: why the instance is not ready; empty when it is.
        managed: the reports on ManagedCertificates.
    """
    envoy: dict[str, Any] = {"reachable": False}
    clusters: dict[str, ClusterStatus] = {}
    calls: dict[str, int] = {}
    handshakes: dict[str, int] = {}
    try:
        info = await admin.server_info()
        clusters = await admin.clusters()
        calls = await admin.stats(_OF_FILTER)
        handshakes = await admin.stats(f"^(?:{HANDSHAKES})$")
        envoy = {
            "reachable": True,
            "version": _release(info.version),
            "state": info.state,
            "uptimeSeconds": info.uptime_seconds,
        }
    except AdminError as error:
        envoy["error"] = str(error)
    model = outcome.model if outcome else LoadBalancer()

    def plain() -> dict[str, Any]:
        snapshot = outcome.snapshot if outcome else None
        pools = [_pool(pool, clusters, checks(pool, snapshot), handshakes) for pool in model.pools]
        unhealthy = none_passes(pools, fail_open=settings.fail_open)
        reasons = [reason] if reason else [*shortcomings(outcome, ads), *unhealthy]
        state = State.NOT_READY if reason else State.DEGRADED if reasons else State.READY
        return {
            "version": __version__,
            "state": str(state),
            "reasons": reasons,
            "ready": not reason,
            "reason": reason,
            "envoy": envoy,
            "filter": _filter(settings, calls),
            "configuration": {
                "version": ads.version,
                "rejections": [_rejection(r) for stream in ads.streams[-1:] for r in stream.refusals],
                "quarantine": [_quarantined(q) for q in outcome.quarantine.held] if outcome else [],
                "retained": [str(ref) for ref in outcome.retained] if outcome else [],
            },
            "listeners": [
                {"name": each.name, "address": each.address, "port": each.port}
                for each in open_listeners(model, settings)
            ],
            **model_report(model),
            "managedCertificates": list(managed),
            "pools": pools,
            "diagnostics": [diagnostic_report(d) for d in outcome.diagnostics] if outcome else [],
        }

    # Thousands of certificates take seconds to read, in which probes are answered.
    return await asyncio.to_thread(plain)


def _release(version: str) -> str:
    """Return the release in Envoy's ``commit/release/status/build/library``."""
    parts = version.split("/")
    return parts[1] if len(parts) > 1 else version


def _pool(
    pool: Pool, clusters: dict[str, ClusterStatus], asked: Mapping[str, str], handshakes: dict[str, int]
) -> dict[str, Any]:
    cluster = clusters.get(grpc_cluster_name(pool.key))
    rest = clusters.get(rest_cluster_name(pool.key))
    rest_calls = {e.address: e.stats.get("rq_total", 0) for e in rest.endpoints} if rest else {}
    return {
        "name": str(pool.key),
        "protocol": str(pool.protocol),
        "rest": pool.rest,
        "endpoints": [
            {
                "address": endpoint.address,
                "healthy": endpoint.healthy,
                "failures": sorted(endpoint.failures),
                "check": asked.get(endpoint.address, ""),
                "checkFails": fails_check(endpoint.failures),
                "calls": endpoint.stats.get("rq_total", 0) + rest_calls.get(endpoint.address, 0),
                "errors": endpoint.stats.get("rq_error", 0),
                "active": endpoint.stats.get("rq_active", 0),
            }
            for endpoint in (cluster.endpoints if cluster else ())
        ],
        "tls": tls_report(pool, handshakes),
        "keepaliveSeconds": keepalive(pool),
    }


def _filter(settings: EnvoySettings, calls: dict[str, int]) -> dict[str, Any]:
    """Return whether the filter is there, and what it counted in all pools together."""
    counters: Counter[str] = Counter()
    for name, count in calls.items():
        counters[name.partition(".kiteway.")[2]] += count
    return {
        "loaded": settings.filter_path is not None,
        "reason": "" if settings.filter_path is not None else missing_reason(),
        "counters": {name: count for name, count in sorted(counters.items()) if count},
    }


def _rejection(rejected: RejectedAt) -> dict[str, Any]:
    rejection = rejected.rejection
    return {
        "at": rejected.time.isoformat(),
        "type": rejection.type_url.rpartition(".")[2],
        "resources": list(rejection.named or rejection.resources),
        "message": rejection.message,
    }


def _quarantined(held: Quarantined) -> dict[str, Any]:
    """Return an Ingress that is held back; ``since`` is null while it is not known whether it is to blame."""
    return {
        "object": str(held.ref),
        "message": held.message,
        "since": held.since.isoformat() if held.since is not None else None,
        "served": held.served,
    }
