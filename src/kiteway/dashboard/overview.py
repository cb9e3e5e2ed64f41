"""The first view: the state of the instance in one value, the same for every viewer."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping

import msgspec

from kiteway.dashboard.board import Board, Seen
from kiteway.dashboard.figures import cached_share, shown_time
from kiteway.diagnostics import Severity
from kiteway.metrics.top import By
from kiteway.report.calls import CallsRow
from kiteway.report.routing import ListenerReport
from kiteway.report.status import EnvoyReport, State, Status
from kiteway.report.supervisor import Phase

_REASONS_MOST = 20
_NEAR_DAYS = 21
"""Days before its end from which a certificate is counted as near it."""


class Traffic(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    The calls of the last interval.

    Attributes:
        counted: whether there are figures: Envoy answers and has the filter.
        calls: attempts a second.
        errors: failed ones a second.
        p50: the median time in seconds; null without calls.
        p99: the 99th percentile, in the same way.
        rows: rows a second.
        in_flight: requests of clients in progress.
        connections: open connections of clients.
        queued: calls that wait for admission.
        cached: the share of reads that the cache answered, 0 to 1; null without reads.
        saved: reads since Envoy's start that Milvus did not have to answer.
        total: attempts since Envoy's start.
    """

    counted: bool
    calls: float
    errors: float
    p50: float | None
    p99: float | None
    rows: float
    in_flight: int
    connections: int
    queued: int
    cached: float | None
    saved: int
    total: int


class ProcessView(msgspec.Struct, frozen=True):
    """A child of the supervisor; ``silent`` when it runs and does not answer."""

    name: str
    pid: int | None
    started: dt.datetime | None
    restarts: int
    last_exit: str
    silent: bool


class Overview(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    The state of the instance.

    Attributes:
        version: that of the page's data; it grows.
        step: how often the counts of calls were read; figures change with it.
        at: when the status was read.
        state: see `kiteway.report.status.State`.
        reasons: why it is not ready or degraded; the first ones.
        answered: whether the control plane answered.
        release: the release of Kiteway.
        configuration: the version of the configuration.
        phase: what the supervisor does; null if that is not known.
        envoy: Envoy.
        processes: the children of the supervisor.
        listeners: the open ports.
        replicas: the live replicas.
        hosts: the number of hosts.
        pools: the number of pools.
        endpoints: the number of endpoints by health.
        certificates: the number of certificates.
        certificates_near: of these, those that end within 21 days, or have ended.
        certificates_failed: ManagedCertificates whose last attempt failed.
        problems: the number of diagnostics by severity.
        held: rejections and Ingresses in quarantine.
        traffic: the calls.
        event: the id of the newest event.
    """

    version: int
    step: int
    at: dt.datetime
    state: State
    reasons: list[str]
    answered: bool
    release: str
    configuration: str
    phase: Phase | None
    envoy: EnvoyReport
    processes: list[ProcessView]
    listeners: tuple[ListenerReport, ...]
    replicas: int
    hosts: int
    pools: int
    endpoints: dict[str, int]
    certificates: int
    certificates_near: int
    certificates_failed: int
    problems: dict[str, int]
    held: int
    traffic: Traffic
    event: int


def overview(board: Board) -> Overview:
    """Return the first view."""
    seen = board.seen
    status = seen.status
    problems = Counter(problem.severity for problem in status.diagnostics)
    endpoints = Counter(endpoint.health for pool in status.pools for endpoint in pool.endpoints)
    return Overview(
        version=board.version,
        step=seen.step,
        at=seen.at,
        state=status.state,
        reasons=list(status.reasons[:_REASONS_MOST]),
        answered=status.answered,
        release=status.version,
        configuration=status.configuration.version,
        phase=status.supervisor.phase if status.supervisor else None,
        envoy=status.envoy,
        processes=_processes(status),
        listeners=status.listeners,
        replicas=status.replicas,
        hosts=len(status.hosts),
        pools=len(status.pools),
        endpoints={str(health): number for health, number in endpoints.items()},
        certificates=len(status.certificates),
        certificates_near=sum(each.days_left <= _NEAR_DAYS for each in status.certificates),
        certificates_failed=sum(each.certificate_status.failed for each in status.managed_certificates),
        problems={str(severity): problems[severity] for severity in Severity},
        held=len(status.configuration.rejections) + len(status.configuration.quarantine),
        traffic=_traffic(seen),
        event=board.journal.last,
    )


def _processes(status: Status) -> list[ProcessView]:
    children = status.supervisor.children if status.supervisor else {}
    return [
        ProcessView(name, each.pid, each.started, each.restarts, each.last_exit, each.silent_since is not None)
        for name, each in children.items()
    ]


def _traffic(seen: Seen) -> Traffic:
    figures, now = seen.figures, seen.figures.all_now
    collections: Mapping[tuple[str, ...], CallsRow] = figures.now.get(By.COLLECTION, {})
    return Traffic(
        counted=seen.counted,
        calls=figures.rate(now.calls if now else 0),
        errors=figures.rate(now.failed if now else 0),
        p50=shown_time(now.p50) if now else None,
        p99=shown_time(now.p99) if now else None,
        rows=figures.rate(now.rows if now else 0),
        in_flight=_sum(seen.statistics, ".downstream_rq_active"),
        connections=_sum(seen.statistics, ".downstream_cx_active"),
        queued=sum(number for name, number in seen.statistics.items() if name.startswith("kiteway.queued.")),
        cached=cached_share(collections.values()),
        saved=sum(row.cache.answered for row in figures.total.get(By.COLLECTION, {}).values() if row.cache),
        total=figures.all_total.calls if figures.all_total else 0,
    )


def _sum(statistics: Mapping[str, int], end: str) -> int:
    return sum(number for name, number in statistics.items() if name.endswith(end))
