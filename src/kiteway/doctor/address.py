"""Probes a live address from outside, layer by layer."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
from dataclasses import dataclass, field, replace

from kiteway.diagnostics import ObjectRef
from kiteway.doctor.caa import CaaResult, find_caa
from kiteway.doctor.tls_versions import accepted_old_versions
from kiteway.probe import Endpoint, ProbeFailure, TlsOptions
from kiteway.probe.backend import HEALTH_PATH, HEALTH_PORT
from kiteway.probe.dns import DnsResult, probe_dns
from kiteway.probe.grpc import GrpcResult
from kiteway.probe.h2 import H2Result, probe_h2
from kiteway.probe.http import HttpResult, probe_http
from kiteway.probe.milvus import MilvusResult, connect, get_version, is_serving
from kiteway.probe.result import DEFAULT_TIMEOUT
from kiteway.probe.tcp import TcpResult, probe_tcp
from kiteway.probe.tls import TlsResult, probe_tls
from kiteway.probe.trust import grpc_default_roots

INTERNAL_PORT = 19529
"""Milvus's proxy.internalPort."""
METRICS_PATH = "/metrics"
REST_PATH = "/v2/vectordb/collections/list"
"""
A path of version 2 of REST, for a POST.

Version 1 may be turned off (``proxy.http.enableV1``). A Milvus before 2.4 has no version 2: it answers 404, and so shows that it
serves REST.
"""
WRONG_TOKEN = "kiteway-doctor:not-a-password"  # noqa: S105 - no user has it
"""A token that a Milvus with authorization must refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressTarget:
    """
    The target of the probes.

    Attributes:
        endpoint: where.
        secure: whether to use TLS.
        tls: name and trust for TLS.
        token: ``user:password`` or an API key; sent only where the certificate is valid.
        timeout: seconds for each probe.
        about: its identity in a report, if it is not a client-facing address but, say, a Pod.
        service: the Service that says which protocol it has, if it is an endpoint behind the balancer.
    """

    endpoint: Endpoint
    secure: bool = True
    tls: TlsOptions = field(default_factory=lambda: TlsOptions(ca=grpc_default_roots()))
    token: str | None = field(default=None, repr=False)
    timeout: float = DEFAULT_TIMEOUT
    about: ObjectRef | None = None
    service: ObjectRef | None = None

    @property
    def name(self) -> str:
        """The name that clients ask for."""
        return self.tls.name(self.endpoint)

    @property
    def ref(self) -> ObjectRef:
        """Its identity in a report."""
        return self.about or ObjectRef("Address", "", self.endpoint.authority)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressFacts:
    """
    The results of the probes; None for a probe that did not run because a lower layer failed.

    Attributes:
        target: what was probed.
        now: when.
        dns: the addresses of the host.
        unreachable: those that accepted no connection, and why.
        caa: CAA records of the name.
        tcp: the serving port.
        tls: the handshake.
        speaks_tls: whether a server that was to be checked in plaintext speaks TLS.
        old_tls: withdrawn TLS versions that it accepts.
        h2: the HTTP/2 preface.
        connect: PyMilvus's first call.
        version: GetVersion, with the token if it may be sent.
        serving: whether grpc.health.v1.Health says SERVING, and the call.
        anonymous: GetVersion without a token.
        wrong_token: GetVersion with `WRONG_TOKEN`.
        rest: REST on the serving port.
        metrics: Milvus's metrics, requested at the serving port.
        http: plain HTTP on port 80.
        healthz: port 9091 of the same host.
        internal: port 19529 of the same host.
    """

    target: AddressTarget
    now: dt.datetime
    dns: DnsResult
    unreachable: tuple[tuple[str, ProbeFailure], ...] = ()
    caa: CaaResult = field(default_factory=CaaResult)
    tcp: TcpResult | None = None
    tls: TlsResult | None = None
    speaks_tls: bool = False
    old_tls: tuple[str, ...] | None = None
    h2: H2Result | None = None
    connect: MilvusResult | None = None
    version: MilvusResult | None = None
    serving: tuple[bool, GrpcResult] | None = None
    anonymous: MilvusResult | None = None
    wrong_token: MilvusResult | None = None
    rest: HttpResult | None = None
    metrics: HttpResult | None = None
    http: HttpResult | None = None
    healthz: HttpResult | None = None
    internal: TcpResult | None = None

    @property
    def ref(self) -> ObjectRef:
        """Its identity in a report."""
        return self.target.ref

    @property
    def loopback(self) -> bool:
        """Whether the address is this machine's own, so that it does not show what other machines can reach."""
        addresses = (*self.dns.ipv4, *self.dns.ipv6)
        return bool(addresses) and all(ipaddress.ip_address(a.partition("%")[0]).is_loopback for a in addresses)

    @property
    def trusted(self) -> bool:
        """Whether a token may be sent: the certificate is valid, or the user asked for plaintext."""
        return not self.target.secure or (self.tls is not None and self.tls.failure is None)


async def look_at_address(target: AddressTarget, now: dt.datetime) -> AddressFacts:
    """
    Probe an address from the lowest layer to the highest.

    Args:
        target: what to look at.
        now: the time that certificates are judged by.

    Raises:
        TrustFileError: the CA file cannot be used.
    """
    endpoint, timeout = target.endpoint, target.timeout
    if target.secure:
        target.tls.context()
    dns, caa = await asyncio.gather(
        probe_dns(endpoint.dialled, endpoint.port, timeout=timeout), find_caa(target.name, timeout=timeout)
    )
    facts = AddressFacts(target=target, now=now, dns=dns, caa=caa)
    if dns.failure is not None:
        return facts
    tcp, unreachable, healthz, internal = await asyncio.gather(
        probe_tcp(endpoint, timeout=timeout),
        _unreachable(target, dns),
        probe_http(Endpoint(endpoint.dialled, HEALTH_PORT), HEALTH_PATH, timeout=timeout),
        probe_tcp(Endpoint(endpoint.dialled, INTERNAL_PORT), timeout=timeout),
    )
    facts = replace(facts, tcp=tcp, unreachable=unreachable, healthz=healthz, internal=internal)
    if tcp.failure is not None:
        return facts
    if target.secure:
        tls, old_tls, http = await asyncio.gather(
            probe_tls(endpoint, target.tls, timeout=timeout),
            accepted_old_versions(endpoint, target.name, timeout=timeout),
            probe_http(Endpoint(target.name, 80, connect_to=endpoint.dialled), "/", timeout=timeout),
        )
        facts = replace(facts, tls=tls, old_tls=old_tls, http=http)
        if tls.version is None:
            return facts
    return await _with_protocol(await _calls(facts))


async def _with_protocol(facts: AddressFacts) -> AddressFacts:
    """Find out whether a server that answers no call in plaintext speaks TLS."""
    target = facts.target
    if target.secure or facts.connect is None or facts.connect.call.failure is None:
        return facts
    tls = await probe_tls(target.endpoint, TlsOptions(verify=False), timeout=target.timeout)
    return replace(facts, speaks_tls=tls.version is not None)


async def look_at_endpoint(target: AddressTarget, now: dt.datetime) -> AddressFacts:
    """
    Probe an endpoint behind the balancer: its ports and whether Milvus answers there, no more.

    Args:
        target: an address, without a token; its certificate is read, not verified.
        now: see `look_at_address`.
    """
    endpoint, timeout = target.endpoint, target.timeout
    dns, tcp, healthz = await asyncio.gather(
        probe_dns(endpoint.dialled, endpoint.port, timeout=timeout),
        probe_tcp(endpoint, timeout=timeout),
        probe_http(Endpoint(endpoint.dialled, HEALTH_PORT), HEALTH_PATH, timeout=timeout),
    )
    facts = AddressFacts(target=target, now=now, dns=dns, tcp=tcp, healthz=healthz)
    if tcp.failure is not None:
        return facts
    tls = replace(target.tls, verify=False) if target.secure else None
    if tls is not None:
        shaken = await probe_tls(endpoint, tls, timeout=timeout)
        facts = replace(facts, tls=shaken)
        if shaken.version is None:
            return facts
    first, version, serving = await asyncio.gather(
        connect(endpoint, tls=tls, timeout=timeout),
        get_version(endpoint, tls=tls, timeout=timeout),
        is_serving(endpoint, tls=tls, timeout=timeout),
    )
    return await _with_protocol(replace(facts, connect=first, version=version, serving=serving))


async def _unreachable(target: AddressTarget, dns: DnsResult) -> tuple[tuple[str, ProbeFailure], ...]:
    addresses = tuple(dict.fromkeys((*dns.ipv4, *dns.ipv6)))
    port, timeout = target.endpoint.port, target.timeout
    results = await asyncio.gather(*(probe_tcp(Endpoint(address, port), timeout=timeout) for address in addresses))
    return tuple((a, r.failure) for a, r in zip(addresses, results, strict=True) if r.failure is not None)


async def _calls(facts: AddressFacts) -> AddressFacts:
    """Make the calls; an invalid certificate stops none of them, because another rule reports it."""
    target, timeout = facts.target, facts.target.timeout
    endpoint = target.endpoint
    tls = replace(target.tls, verify=False) if target.secure else None
    token = target.token if facts.trusted else None
    # With a token the certificate is verified again, on the connection that carries the token.
    strict = target.tls if target.secure and token else tls
    async with asyncio.TaskGroup() as group:
        h2 = group.create_task(probe_h2(endpoint, tls, timeout=timeout))
        first = group.create_task(connect(endpoint, tls=strict, token=token, timeout=timeout))
        version = group.create_task(get_version(endpoint, tls=strict, token=token, timeout=timeout))
        serving = group.create_task(is_serving(endpoint, tls=strict, token=token, timeout=timeout))
        anonymous = group.create_task(get_version(endpoint, tls=tls, timeout=timeout))
        wrong = group.create_task(get_version(endpoint, tls=tls, token=WRONG_TOKEN, timeout=timeout))
        rest = group.create_task(probe_http(endpoint, REST_PATH, tls=tls, json="{}", timeout=timeout))
        metrics = group.create_task(probe_http(endpoint, METRICS_PATH, tls=tls, timeout=timeout))
    return replace(
        facts,
        h2=h2.result(),
        connect=first.result(),
        version=version.result(),
        serving=serving.result(),
        anonymous=anonymous.result(),
        wrong_token=wrong.result(),
        rest=rest.result(),
        metrics=metrics.result(),
    )
