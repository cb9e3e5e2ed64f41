"""
Watches the endpoints' health: since when each is what it is, and why it fails its check.

Envoy tells only what is the case now, and not why a check failed. So the control plane asks Envoy every five seconds, and
repeats the check of each endpoint that fails it.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from kiteway.envoy.admin import AdminClient, AdminError
from kiteway.envoy.clusters import ClusterStatus
from kiteway.envoy.xds.common import grpc_cluster_name
from kiteway.model import HealthCheckType, PoolKey
from kiteway.pipeline.pipeline import Outcome
from kiteway.probe import Endpoint, Reason, TlsOptions
from kiteway.probe.http import probe_http
from kiteway.probe.tcp import probe_tcp
from kiteway.probe.tls import probe_tls
from kiteway.report.pools import CheckedEndpoint, EndpointHealth
from kiteway.status.health import EndpointCheck, endpoint_checks
from kiteway.status.serving import ServingProbe, ServingWatch

_log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 5.0
"""Seconds between two looks; in a large cluster some of them see the same list of Envoy's."""
_NEW_SECONDS: Final = 15
"""Seconds for which an Envoy is new: what is seen at the first look has been so for no longer."""
_PROBE_SECONDS: Final = 1.0
_MOST_PROBED: Final = 32
"""Endpoints that are probed in one look, chosen at random, so that no tenant's endpoints keep others from their turn."""

Probe = Callable[[EndpointCheck], Awaitable[str]]
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Seen:
    """
    The observed health of an endpoint.

    Attributes:
        health: its health.
        since: when it was first seen so; None when that was before the first look.
    """

    health: EndpointHealth
    since: dt.datetime | None


class HealthWatch:
    """The history of the endpoints of all pools."""

    def __init__(
        self,
        admin: AdminClient,
        outcome: Callable[[], Outcome | None],
        probe: Probe | None,
        serving: ServingProbe | None = None,
    ) -> None:
        """
        Begin without a history.

        Args:
            admin: Envoy's admin API.
            outcome: returns what is published now; None before the first round.
            probe: repeats a check and says what came of it; None where Envoy is in another network.
            serving: the same for an endpoint's serving port.

        Attributes:
            serving: the endpoints at which every attempt fails although they pass their check.
        """
        self.serving = ServingWatch(serving)
        self._admin = admin
        self._outcome = outcome
        self._probe = probe
        self._seen: dict[_Key, Seen] | None = None
        self._why: dict[EndpointCheck, str] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            with contextlib.suppress(AdminError):
                clusters = await self._admin.recent_clusters()
                uptime = None if self._seen is not None else (await self._admin.server_info()).uptime_seconds
                await self.take(clusters, dt.datetime.now(dt.UTC), uptime=uptime, repeat=True)
            await asyncio.sleep(LOOK_SECONDS)

    async def take(
        self,
        clusters: Mapping[str, ClusterStatus],
        now: dt.datetime,
        *,
        uptime: int | None = None,
        repeat: bool = False,
    ) -> None:
        """
        Take the state of Envoy at ``now``, and probe the endpoints that have begun to fail their check.

        Args:
            clusters: the clusters with their endpoints.
            now: the time.
            uptime: seconds since Envoy's start; the first look at a new Envoy sees the beginning of each health.
            repeat: whether to probe also those that were probed before.
        """
        self._record(clusters, now, new=self._seen is not None or (uptime is not None and uptime < _NEW_SECONDS))
        if (outcome := self._outcome()) is not None:
            await self.serving.take(outcome.model, clusters, now, repeat=repeat)
        if self._probe is None:
            return
        failing = list(self._failing())
        due = failing if repeat else [check for check in failing if check not in self._why]
        asked = random.sample(due, min(len(due), _MOST_PROBED))
        answers = await asyncio.gather(*map(self._probe, asked), return_exceptions=True)
        known = self._why | {check: _answer(check, answer) for check, answer in zip(asked, answers, strict=True)}
        self._why = {check: known[check] for check in failing if check in known}

    def _record(self, clusters: Mapping[str, ClusterStatus], now: dt.datetime, *, new: bool) -> None:
        before = self._seen or {}
        found: dict[_Key, Seen] = {}
        for cluster in clusters.values():
            for endpoint in cluster.endpoints:
                key, health = (cluster.name, endpoint.address), EndpointHealth.of_failures(endpoint.failures)
                seen = before.get(key)
                if seen is None or seen.health is not health:
                    seen = Seen(health, now if new else None)
                found[key] = seen
        self._seen = found

    def since(self, cluster: str, address: str) -> dt.datetime | None:
        """Return since when the health of an endpoint is what it is; None when that is not known."""
        seen = (self._seen or {}).get((cluster, address))
        return seen.since if seen is not None else None

    def why(self, check: EndpointCheck) -> str:
        """Return why an endpoint fails ``check``; empty when that is not known."""
        return self._why.get(check, "")

    def checked(self) -> tuple[tuple[CheckedEndpoint, ...], ...]:
        """Return the endpoints of each pool, as they were seen last: Envoy is not asked for it."""
        outcome, seen = self._outcome(), self._seen or {}
        if outcome is None:
            return ()
        by_cluster: dict[str, list[str]] = {}
        for cluster, address in seen:
            by_cluster.setdefault(cluster, []).append(address)
        found = []
        for pool in outcome.model.pools:
            name = grpc_cluster_name(pool.key)
            checks = endpoint_checks(pool, outcome.snapshot)
            found.append(
                tuple(
                    self._checked(name, address, checks.get(address), pool.key) for address in by_cluster.get(name, ())
                )
            )
        return tuple(found)

    def _checked(self, cluster: str, address: str, check: EndpointCheck | None, pool: PoolKey) -> CheckedEndpoint:
        fails = (self._seen or {})[cluster, address].health is EndpointHealth.FAILING
        why = self.why(check) if fails and check is not None else ""
        trouble = self.serving.trouble(pool, address)
        return CheckedEndpoint(
            address=address,
            check=str(check or ""),
            check_fails=fails,
            why=why,
            calls_fail=str(trouble[0]) if trouble else "",
        )

    def _failing(self) -> Iterable[EndpointCheck]:
        outcome, seen = self._outcome(), self._seen or {}
        failing: dict[str, set[str]] = {}
        for (cluster, address), what in seen.items():
            if what.health is EndpointHealth.FAILING:
                failing.setdefault(cluster, set()).add(address)
        if outcome is None or not failing:
            return
        for pool in outcome.model.pools:
            addresses = failing.get(grpc_cluster_name(pool.key), ())
            if addresses:
                checks = endpoint_checks(pool, outcome.snapshot)
                yield from (check for address, check in checks.items() if address in addresses)


def _answer(check: EndpointCheck, answer: str | BaseException) -> str:
    """Return the answer of a probe; empty for one that raised: the reason is for display, and nothing may end for it."""
    if isinstance(answer, str):
        return answer
    _log.warning("probe failed", check=str(check), host=check.host, error=repr(answer))
    return ""


async def probe_check(check: EndpointCheck) -> str:
    """Repeat ``check`` within a second, and say in words why it fails; empty when it passes or that is not known."""
    endpoint = Endpoint(check.host, check.port)
    if check.type is HealthCheckType.HTTP:
        answer = await probe_http(endpoint, check.path, timeout=_PROBE_SECONDS)
        if answer.status is not None:
            return "" if answer.status == 200 else f"{check.port} answers {check.path} with HTTP status {answer.status}"
        failure = answer.failure
    else:
        failure = (await probe_tcp(endpoint, timeout=_PROBE_SECONDS)).failure
        if failure is None and check.tls:
            # What else a TLS endpoint answers to Envoy depends on Envoy's certificate, which is not used here.
            seen = await probe_tls(endpoint, TlsOptions(verify=False), timeout=_PROBE_SECONDS)
            if seen.failure is not None and seen.failure.reason is Reason.NOT_TLS:
                return f"{check.port} speaks plaintext, and the check goes over TLS"
    if failure is None:
        return ""
    match failure.reason:
        case Reason.CONNECTION_REFUSED:
            return f"{check.port} refused the connection"
        case Reason.CONNECT_TIMEOUT:
            return f"{check.port} did not accept a connection within {_PROBE_SECONDS:g} s"
        case Reason.NO_ANSWER:
            return f"{check.port} did not answer {check.path} within {_PROBE_SECONDS:g} s"
        case Reason.UNREACHABLE:
            return f"{check.host} cannot be reached"
        case _:
            return failure.detail
