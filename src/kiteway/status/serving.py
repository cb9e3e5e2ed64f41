"""Finds endpoints to which every call fails although they pass their check, and what is wrong there."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from kiteway.envoy.clusters import Attempts, ClusterStatus
from kiteway.envoy.xds.common import grpc_cluster_name, rest_cluster_name
from kiteway.model import LoadBalancer, Pool, PoolKey
from kiteway.probe import Endpoint, Reason, TlsOptions, TrustFileError
from kiteway.probe.h2 import probe_h2
from kiteway.probe.result import ProbeFailure, parse_endpoint
from kiteway.probe.tls import probe_tls
from kiteway.report.pools import EndpointFailure
from kiteway.resources import annotations as keys

_log = structlog.get_logger(__name__)

_TELLING_ERRORS: Final = 2
"""Failed attempts in a row after which an endpoint is probed; one may be an accident."""
_PROBE_SECONDS: Final = 1.0
_DEMANDED: Final = Reason.CLIENT_CERTIFICATE_REQUIRED
_MOST_PROBED: Final = 32
"""Endpoints that are probed in one look, chosen at random, so that no tenant's endpoints keep others from their turn."""


@dataclass(frozen=True, slots=True)
class Serving:
    """
    How the calls of a pool are sent to one of its endpoints.

    Attributes:
        host: the IP address.
        port: the serving port.
        tls: how TLS is spoken; None for plaintext.
        certificate: the name of the client certificate that is sent; None without one.
    """

    host: str
    port: int
    tls: TlsOptions | None
    certificate: str | None

    @classmethod
    def of(cls, pool: Pool, address: str) -> Serving:
        """Return it for the endpoint of ``pool`` at ``address``, which is ``HOST:PORT``."""
        at = parse_endpoint(address, pool.key.port)
        if not pool.protocol.tls:
            return cls(at.host, at.port, None, None)
        name, ca, client = pool.tls.server_name, pool.tls.ca, pool.tls.client_certificate
        tls = TlsOptions(
            server_name=name,
            ca_text=ca.pem if ca is not None else None,
            verify=ca is not None,
            any_name=name is None,
            client_pem=client.chain + b"\n" + client.key.reveal() if client is not None else None,
        )
        return cls(at.host, at.port, tls, client.name if client is not None else None)


@dataclass(frozen=True, slots=True)
class Trouble:
    """
    Why every call to an endpoint fails.

    Attributes:
        why: the cause, as a clause whose subject is the endpoint.
        fix: what to do, as sentences; can be empty.
    """

    why: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.why}. {self.fix}".strip()


ServingProbe = Callable[[Serving], Awaitable[Trouble | None]]
_Key = tuple[PoolKey, str]


@dataclass(frozen=True, slots=True)
class _Streak:
    """
    The attempts at an endpoint since the last one that succeeded.

    Attributes:
        succeeded: the number that had succeeded until then.
        forgiven: the number that had failed until then.
        failed: the number that have failed until now.
        since: when the first failure was seen; None if there is none.
    """

    succeeded: int
    forgiven: int
    failed: int
    since: dt.datetime | None

    @property
    def telling(self) -> bool:
        """Whether so many have failed that the endpoint is to be probed."""
        return self.failed - self.forgiven >= _TELLING_ERRORS


class ServingWatch:
    """The endpoints at which every attempt fails."""

    def __init__(self, probe: ServingProbe | None) -> None:
        """
        Begin without a history.

        Args:
            probe: connects to an endpoint and says what is wrong; None where Envoy is in another network, of which nothing
                is said.
        """
        self._probe = probe
        self._streaks: dict[_Key, _Streak] = {}
        self._found: dict[_Key, Trouble] = {}
        self._asked: set[_Key] = set()

    def trouble(self, pool: PoolKey, address: str) -> tuple[Trouble, dt.datetime] | None:
        """Return why every call to an endpoint fails, and since when that was seen; None if it is not known to be so."""
        key = (pool, address)
        since = streak.since if (streak := self._streaks.get(key)) is not None else None
        return (self._found[key], since) if key in self._found and since is not None else None

    async def take(
        self, model: LoadBalancer, clusters: Mapping[str, ClusterStatus], now: dt.datetime, *, repeat: bool = False
    ) -> None:
        """
        Take Envoy's counts, and probe the endpoints at which attempts fail and none succeeds.

        Several looks may run at the same time: an endpoint has one probe at a time.

        Args:
            model: the pools.
            clusters: the clusters with their endpoints.
            now: the time.
            repeat: whether to probe also those of which it is known what is wrong.
        """
        if self._probe is None:
            return
        pools = {pool.key: pool for pool in model.pools}
        self._count(pools.values(), clusters, now)
        telling = [key for key, streak in self._streaks.items() if streak.telling]
        self._found = {key: self._found[key] for key in telling if key in self._found}
        due = [key for key in telling if key not in self._asked and (repeat or key not in self._found)]
        asked = random.sample(due, min(len(due), max(_MOST_PROBED - len(self._asked), 0)))
        serving = [Serving.of(pools[key], address) for key, address in asked]
        self._asked.update(asked)
        try:
            answers = await asyncio.gather(*map(self._probe, serving), return_exceptions=True)
        finally:
            self._asked.difference_update(asked)
        for key, endpoint, answer in zip(asked, serving, answers, strict=True):
            if isinstance(answer, BaseException):
                _log.warning("probe failed", host=endpoint.host, port=endpoint.port, error=repr(answer))
            elif (streak := self._streaks.get(key)) is None or not streak.telling:
                # Meanwhile the endpoint has gone, or an attempt succeeded.
                continue
            elif answer is not None:
                self._found[key] = answer
            else:
                # It serves as it should, so what failed was of the calls themselves, or is over.
                self._found.pop(key, None)
                self._streaks[key] = _Streak(streak.succeeded, streak.failed, streak.failed, None)

    def _count(self, pools: Iterable[Pool], clusters: Mapping[str, ClusterStatus], now: dt.datetime) -> None:
        streaks: dict[_Key, _Streak] = {}
        for pool in pools:
            grpc, rest = clusters.get(grpc_cluster_name(pool.key)), clusters.get(rest_cluster_name(pool.key))
            by_rest = {each.address: each.attempts for each in rest.endpoints} if rest is not None else {}
            for each in grpc.endpoints if grpc is not None else ():
                own, other = each.attempts, by_rest.get(each.address, Attempts())
                succeeded, failed = own.success + other.success, own.error + other.error
                key = (pool.key, each.address)
                if EndpointFailure.ACTIVE_CHECK in each.failures:
                    # It gets no calls, and the check says why.
                    streaks[key] = _Streak(succeeded, failed, failed, None)
                else:
                    streaks[key] = _next(self._streaks.get(key), succeeded, failed, now)
        self._streaks = streaks


def _next(before: _Streak | None, succeeded: int, failed: int, now: dt.datetime) -> _Streak:
    if before is not None and (before.succeeded, before.failed) == (succeeded, failed):
        return before
    # The counts of an Envoy that has taken the place of another one begin again.
    if before is None or failed < before.failed or succeeded < before.succeeded:
        before = _Streak(0, 0, 0, None)
    if succeeded > before.succeeded:
        return _Streak(succeeded, failed, failed, None)
    since = before.since or (now if failed > before.forgiven else None)
    return _Streak(succeeded, before.forgiven, failed, since)


async def probe_serving(serving: Serving) -> Trouble | None:
    """Connect to an endpoint as its pool does, and return what is wrong; None if nothing is, or it cannot be seen."""
    endpoint = Endpoint(serving.host, serving.port)
    if serving.tls is not None:
        try:
            failure = (await probe_tls(endpoint, serving.tls, timeout=_PROBE_SECONDS)).failure
        except TrustFileError as error:
            return Trouble(str(error))
        return None if failure is None else _over_tls(failure, serving.certificate)
    failure = (await probe_h2(endpoint, None, timeout=_PROBE_SECONDS)).failure
    if failure is None:
        return None
    seen = await probe_tls(endpoint, TlsOptions(verify=False), timeout=_PROBE_SECONDS)
    if seen.version is not None or (seen.failure is not None and seen.failure.reason is _DEMANDED):
        return Trouble(
            "it speaks TLS, and the Service says plaintext",
            f"""Annotate the Service with {keys.APP_PROTOCOLS}: '{{"PORT-NAME":"HTTP2"}}'.""",
        )
    return Trouble(failure.detail)


def _over_tls(failure: ProbeFailure, certificate: str | None) -> Trouble:
    if failure.reason is Reason.NOT_TLS:
        return Trouble(
            "it speaks plaintext, and the Service says TLS",
            f"Turn on TLS in Milvus (tlsMode: 1), or remove {keys.APP_PROTOCOLS} from the Service and set appProtocol: "
            "kubernetes.io/h2c on its port.",
        )
    if failure.reason is _DEMANDED and certificate is not None:
        return Trouble(
            f"it refuses the client certificate {certificate}",
            f"In the Secret that {keys.BACKEND_CLIENT_CERTIFICATE} of the Service names, put a certificate that is valid now and "
            "that a CA in tls.caPemPath of Milvus has issued for clients.",
        )
    if failure.reason is _DEMANDED:
        return Trouble(
            "it demands a client certificate",
            f"Name a Secret with one in {keys.BACKEND_CLIENT_CERTIFICATE} of the Service, or set tlsMode: 1 in Milvus.",
        )
    return Trouble(failure.detail)
