"""The rows of the page's tables that need only the status: hosts, certificates, problems, and the queues of admission."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import msgspec

from kiteway.dashboard.board import Seen
from kiteway.dashboard.names import clusters_of
from kiteway.dashboard.paging import Table
from kiteway.report.certificates import ManagedCertificateReport, ServedCertificate
from kiteway.report.policies import AdmissionReport, PolicyReport
from kiteway.report.problem import Problem

_NAMES_MOST = 20
"""Names of a certificate, and routes of a host, that a row carries."""


class RouteView(msgspec.Struct, frozen=True, rename="camel"):
    """A route; ``limits``, ``admission``, ``cache`` and ``hedging`` say what a MilvusPolicy sets for it."""

    path: str
    type: str
    pool: str
    limits: int
    admission: bool
    cache: bool
    hedging: bool


class HostRow(msgspec.Struct, frozen=True, kw_only=True):
    """
    A host.

    Attributes:
        host: its name.
        ingress: NAMESPACE/NAME.
        https: whether it is served over HTTPS.
        http: what the HTTP port does for it.
        routes: its first routes.
        more: the number of the other routes.
    """

    host: str
    ingress: str
    https: bool
    http: str
    routes: list[RouteView]
    more: int


class QueueRow(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    The admission of a pool.

    Attributes:
        pool: NAMESPACE/SERVICE/PORT.
        waiting: calls that wait now.
        active: calls in progress at its endpoints.
        reads: reads at the same time, `adaptive`, or null for no limit.
        writes: writes at the same time; null for no limit.
        max_wait: seconds that a call waits at most.
        max_queued_bytes: bytes of calls that wait, at most.
        policy: the MilvusPolicies that set it; empty without an admission.
        ejections: ejections of its endpoints since Envoy's start.
        retries: attempts beyond the first since Envoy's start.
    """

    pool: str
    waiting: int
    active: int
    reads: int | str | None
    writes: int | None
    max_wait: float | None
    max_queued_bytes: int | None
    policy: str
    ejections: int
    retries: int


class CertificateRow(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    A certificate of a listener, or a ManagedCertificate.

    Attributes:
        name: its name in Kiteway, or NAMESPACE/NAME of a ManagedCertificate.
        names: its first names.
        more: the number of the other names.
        not_after: when it expires; null for a ManagedCertificate that has none yet.
        days_left: whole days until then.
        issuer: its issuer.
        source: the object or the file it comes from.
        temporary: whether it is self-signed, until a ManagedCertificate is issued.
        problems: why clients refuse it, each with its fix.
        state: the state of a ManagedCertificate; empty for another one.
        message: why it was not issued or renewed.
        fix: what to do about that.
        waiting_for: what an attempt in progress waits for.
        next_attempt: when the next attempt is.
    """

    name: str
    names: list[str]
    more: int
    not_after: dt.datetime | None
    days_left: int | None
    issuer: str
    source: str
    temporary: bool = False
    problems: list[str] = []
    state: str = ""
    message: str = ""
    fix: str = ""
    waiting_for: str = ""
    next_attempt: dt.datetime | None = None


class ProblemRow(msgspec.Struct, frozen=True, kw_only=True):
    """
    A diagnostic, a rejection, or an Ingress in quarantine.

    Attributes:
        kind: ``diagnostic``, ``rejection`` or ``quarantine``.
        severity: ``error``, ``warning`` or ``note``.
        reason: a stable code; empty for a rejection.
        about: the object, or the resources.
        place: FILE:LINE:COLUMN; empty for an object of a cluster.
        path: the field.
        message: what is wrong.
        fix: what to do.
        served: whether an earlier version of the object is served.
    """

    kind: str
    severity: str
    reason: str = ""
    about: str = ""
    place: str = ""
    path: str = ""
    message: str
    fix: str = ""
    served: bool = False


_SEVERITY_ORDER = {"error": 0, "warning": 1, "note": 2}

HOSTS: Table[HostRow] = Table(
    text=lambda row: " ".join((row.host, row.ingress, *(route.pool for route in row.routes))),
    columns={"host": lambda row: row.host, "ingress": lambda row: row.ingress},
)
QUEUES: Table[QueueRow] = Table(
    text=lambda row: f"{row.pool} {row.policy}",
    columns={
        "pool": lambda row: row.pool,
        "waiting": lambda row: row.waiting,
        "active": lambda row: row.active,
        "ejections": lambda row: row.ejections,
        "retries": lambda row: row.retries,
    },
)
CERTIFICATES: Table[CertificateRow] = Table(
    text=lambda row: " ".join((row.name, row.source, row.state, *row.names)),
    columns={"name": lambda row: row.name, "daysLeft": lambda row: row.days_left, "state": lambda row: row.state},
)
PROBLEMS: Table[ProblemRow] = Table(
    text=lambda row: f"{row.reason} {row.about} {row.place} {row.message}",
    only=lambda row: row.severity,
    columns={"severity": lambda row: _SEVERITY_ORDER[row.severity], "reason": lambda row: row.reason},
)


def host_rows(seen: Seen) -> Iterator[HostRow]:
    """Yield the hosts by name."""
    for each in sorted(seen.status.hosts, key=lambda host: host.host):
        routes = [
            RouteView(
                path=route.path,
                type=str(route.type),
                pool=route.pool,
                limits=len(policy.limits) if (policy := route.policy) else 0,
                admission=policy is not None and policy.admission is not None,
                cache=policy is not None and policy.cache is not None,
                hedging=policy is not None and policy.hedging_delay is not None,
            )
            for route in each.routes[:_NAMES_MOST]
        ]
        yield HostRow(
            host=each.host,
            ingress=each.ingress,
            https=each.https,
            http=str(each.http),
            routes=routes,
            more=len(each.routes) - len(routes),
        )


def queue_rows(seen: Seen) -> Iterator[QueueRow]:
    """Yield the pools with their admission, those in which calls wait first."""
    admissions: dict[str, tuple[AdmissionReport, str]] = {}
    for host in seen.status.hosts:
        for route in host.routes:
            if route.policy is not None and route.policy.admission is not None:
                admissions[route.pool] = (route.policy.admission, _policies(route.policy))
    rows = []
    for pool in seen.status.pools:
        admission, policy = admissions.get(pool.name, (None, ""))
        clusters = clusters_of(pool.name)
        rows.append(
            QueueRow(
                pool=pool.name,
                waiting=sum(seen.statistics.get(f"kiteway.queued.pool.{name}", 0) for name in clusters),
                active=sum(endpoint.active for endpoint in pool.endpoints),
                reads=admission.max_concurrent_reads if admission else None,
                writes=admission.max_concurrent_writes if admission else None,
                max_wait=admission.max_wait if admission else None,
                max_queued_bytes=admission.max_queued_bytes if admission else None,
                policy=policy,
                ejections=_of(seen, clusters, "outlier_detection.ejections_enforced_total"),
                retries=_of(seen, clusters, "upstream_rq_retry"),
            )
        )
    yield from sorted(rows, key=lambda row: (-row.waiting, row.max_wait is None, row.pool))


def refused(seen: Seen) -> dict[str, int]:
    """Return the calls that limits and admission refused since Envoy's start, by reason."""
    start = "kiteway.refused_total.reason."
    found = {
        name.removeprefix(start): number
        for name, number in seen.statistics.items()
        if name.startswith(start) and number
    }
    return dict(sorted(found.items()))


def certificate_rows(seen: Seen) -> Iterator[CertificateRow]:
    """Yield ManagedCertificates that failed, then certificates by the days that they have left."""
    managed = [_managed(each) for each in seen.status.managed_certificates]
    served = [_served(each) for each in seen.status.certificates]
    failed = {each.name for each in seen.status.managed_certificates if each.certificate_status.failed}
    yield from sorted(
        [*managed, *served],
        key=lambda row: (row.name not in failed, row.days_left if row.days_left is not None else -1, row.name),
    )


def problem_rows(seen: Seen) -> Iterator[ProblemRow]:
    """Yield rejections, Ingresses in quarantine, and the diagnostics, errors first."""
    configuration = seen.status.configuration
    for each in configuration.rejections:
        about = f"{each.type} {', '.join(each.resources[:_NAMES_MOST])}"
        yield ProblemRow(kind="rejection", severity="error", about=about, message=each.message)
    for held in configuration.quarantine:
        yield ProblemRow(
            kind="quarantine", severity="error", about=held.object, message=held.message, served=held.served
        )
    retained = set(configuration.retained)
    rows = [_problem(each, retained) for each in seen.status.diagnostics]
    yield from sorted(rows, key=lambda row: _SEVERITY_ORDER[row.severity])


def _policies(policy: PolicyReport) -> str:
    """Return the names of the MilvusPolicies that set the admission of a route."""
    names = {origin for field, origin in policy.origins.items() if field.startswith("admission.")}
    return ", ".join(sorted(names - {"default"}))


def _of(seen: Seen, clusters: tuple[str, str], statistic: str) -> int:
    return sum(seen.statistics.get(f"cluster.{name}.{statistic}", 0) for name in clusters)


def _served(each: ServedCertificate) -> CertificateRow:
    return CertificateRow(
        name=each.name,
        names=list(each.names[:_NAMES_MOST]),
        more=max(0, len(each.names) - _NAMES_MOST),
        not_after=each.not_after,
        days_left=each.days_left,
        issuer=each.issuer,
        source=each.source,
        temporary=each.temporary,
        problems=[f"{problem.message} {problem.fix}".strip() for problem in each.problems],
    )


def _managed(each: ManagedCertificateReport) -> CertificateRow:
    names = [f"{domain.domain} ({domain.status})" for domain in each.domain_status[:_NAMES_MOST]]
    days = (each.expire_time - dt.datetime.now(dt.UTC)).days if each.expire_time else None
    return CertificateRow(
        name=each.name,
        names=names,
        more=max(0, len(each.domain_status) - _NAMES_MOST),
        not_after=each.expire_time,
        days_left=days,
        issuer="",
        source=str(each.object.ref),
        state=str(each.certificate_status),
        message=each.message,
        fix=each.fix,
        waiting_for=each.waiting_for,
        next_attempt=each.next_attempt,
    )


def _problem(problem: Problem, retained: set[str]) -> ProblemRow:
    about = str(problem.object.ref) if problem.object else ""
    return ProblemRow(
        kind="diagnostic",
        severity=str(problem.severity),
        reason=problem.reason,
        about=about,
        place=str(problem.position or ""),
        path=problem.path,
        message=problem.message,
        fix=problem.fix,
        served=about in retained,
    )
