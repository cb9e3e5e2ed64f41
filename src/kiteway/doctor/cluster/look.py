"""Reads a live cluster, and then probes the addresses in it."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kiteway.diagnostics import ObjectRef
from kiteway.doctor.address import AddressFacts, AddressTarget, look_at_address, look_at_endpoint
from kiteway.doctor.cluster.assemble import assemble
from kiteway.doctor.cluster.facts import ClusterFacts, is_seen
from kiteway.doctor.cluster.reading import Reader
from kiteway.doctor.manifests import Manifests, app_protocol
from kiteway.doctor.report import Report, examine, joined
from kiteway.doctor.rule import Scope
from kiteway.kubernetes.api import Api, read_kubeconfig
from kiteway.probe import Endpoint, TlsOptions
from kiteway.probe.dns import DnsResult, probe_dns
from kiteway.probe.result import DEFAULT_TIMEOUT
from kiteway.probe.trust import grpc_default_roots
from kiteway.resources import EndpointSlice, ManagedCertificate
from kiteway.resources import annotations as keys
from kiteway.resources.annotations import AppProtocol
from kiteway.resources.kinds.endpoint_slice import AddressType

MOST_HOSTS = 10
"""The most hosts that are probed, in their order; more would show the same."""
MOST_ENDPOINTS = 20

ENDPOINT_RULES = frozenset({"TCP_CONNECT", "TLS_HANDSHAKE", "ALPN_H2", "GRPC_DIRECT", "HEALTHZ_RACE"})
"""The rules about addresses that apply to endpoints; any certificate passes, as GKE's balancer accepts it."""

SEEN_LIVE = frozenset(
    {"HELM_SERVICE_ANNOTATIONS", "HELM_L4_SERVICE", "SINGLE_PROXY", "MANAGED_CERT_ORDER", "MANAGED_CERT_FAILED"}
)
"""Rules that predict an effect; a cluster shows it: HELM_VALUES_DRIFT, SERVICE_L4, PDB, MANAGED_CERT_STUCK."""

_OF_KITEWAY = frozenset({"RestPortMissing"})
"""Reasons about annotations of a Service that only Kiteway reads."""
_HTTPS = 443


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterTarget:
    """
    The release, the cluster and the credentials.

    Attributes:
        release: the Helm release.
        namespace: where it is.
        kubeconfig: a file; empty for the environment's.
        context: of the kubeconfig; empty for the current one.
        ca: the CA file that verifies the certificates of the addresses.
        token: for Milvus behind the addresses; only sent where the certificate is valid.
        timeout: seconds for each probe of an address.
    """

    release: str
    namespace: str
    kubeconfig: str = ""
    context: str = ""
    ca: Path | None = None
    token: str | None = None
    timeout: float = DEFAULT_TIMEOUT


async def look_at_cluster(target: ClusterTarget, now: dt.datetime) -> ClusterFacts:
    """
    Read the cluster and probe its addresses; nothing is changed.

    Raises:
        NoClusterError: no kubeconfig or service account names a cluster.
        TrustFileError: the CA file cannot be used.
    """
    config = read_kubeconfig(target.kubeconfig, target.context)
    async with Api(config) as api:
        snapshot = await Reader(api, config.cluster.server, target.namespace).read(target.release)
    facts = assemble(snapshot, target.release, now)
    hosts = _hosts(facts)
    names = list(dict.fromkeys([*hosts, *_domains(facts)]))[:MOST_HOSTS]
    resolved, fronts, backs = await asyncio.gather(
        asyncio.gather(*(probe_dns(name, _HTTPS, timeout=target.timeout) for name in names)),
        asyncio.gather(*(_front(target, host, address, now) for host, address in hosts.items() if address)),
        asyncio.gather(*(look_at_endpoint(each, now) for each in _endpoints(facts, target.timeout))),
    )
    dns: Mapping[str, DnsResult] = dict(zip(names, resolved, strict=True))
    return replace(facts, dns=dns, fronts=tuple(fronts), backs=tuple(backs))


def examine_cluster(facts: ClusterFacts) -> Report:
    """Apply the rules about clusters, and those about files and addresses to the objects and addresses in it."""
    if facts.problem:
        return examine(Scope.CLUSTER, facts, only={"CLUSTER_READ"})
    unread = facts.unread_kinds
    return joined(
        examine(Scope.FILES, _fitting(facts), without=SEEN_LIVE, unread=unread, about=facts.ref),
        examine(Scope.CLUSTER, facts, unread=unread, about=facts.ref),
        *(examine(Scope.ADDRESS, front) for front in facts.fronts),
        *(examine(Scope.ADDRESS, back, only=ENDPOINT_RULES) for back in facts.backs if is_seen(back)),
    )


def _fitting(facts: ClusterFacts) -> Manifests:
    """Return the manifests without advice about Kiteway's annotations on Services that only Google's balancer leads to."""
    led = [(service.ref, facts.gke and facts.is_googles(ingress)) for ingress, service, _ in facts.manifests.backends()]
    googles = {ref for ref, _ in led} - {ref for ref, is_googles in led if not is_googles}
    fitting = (d for d in facts.manifests.diagnostics if d.reason not in _OF_KITEWAY or d.object not in googles)
    return replace(facts.manifests, diagnostics=tuple(fitting))


async def _front(target: ClusterTarget, host: str, address: str, now: dt.datetime) -> AddressFacts:
    where = AddressTarget(
        endpoint=Endpoint(host, _HTTPS, connect_to=address),
        tls=TlsOptions(ca=target.ca or grpc_default_roots()),
        token=target.token,
        timeout=target.timeout,
    )
    return await look_at_address(where, now)


def _hosts(facts: ClusterFacts) -> dict[str, str]:
    """Return the hosts that are served over TLS, and the address of their Ingress; empty if it has none."""
    found = {}
    for ingress in facts.ingresses():
        marks = ingress.metadata.annotations
        if ingress.spec.tls or marks.get(keys.MANAGED_CERTIFICATES) or marks.get(keys.PRE_SHARED_CERT):
            for rule in ingress.spec.rules:
                if rule.host and not rule.host.startswith("*"):
                    found[rule.host] = facts.addresses.get(ingress.ref, "")
    return dict(list(found.items())[:MOST_HOSTS])


def _domains(facts: ClusterFacts) -> list[str]:
    return [domain for managed in facts.manifests.of(ManagedCertificate) for domain in managed.spec.domains]


def _endpoints(facts: ClusterFacts, timeout: float) -> list[AddressTarget]:
    """Return the ready endpoints, with the protocol that the balancer uses."""
    found: dict[str, AddressTarget] = {}
    for _, service, port in facts.manifests.backends():
        for slice_ in facts.manifests.of(EndpointSlice):
            number = next((p.port for p in slice_.ports if (p.name or "") == port.name and p.port), None)
            if slice_.service_name != service.ref.name or number is None or slice_.address_type is AddressType.FQDN:
                continue
            for endpoint in slice_.endpoints:
                pod = endpoint.target_ref
                if endpoint.conditions.ready is False:
                    continue
                target = AddressTarget(
                    endpoint=Endpoint(endpoint.addresses[0], number),
                    secure=app_protocol(service, port) is not AppProtocol.HTTP,
                    tls=TlsOptions(verify=False),
                    timeout=timeout,
                    about=ObjectRef("Pod", pod.namespace, pod.name) if pod and pod.kind == "Pod" else None,
                    service=service.ref,
                )
                found[target.endpoint.authority] = target
    return list(found.values())[:MOST_ENDPOINTS]
