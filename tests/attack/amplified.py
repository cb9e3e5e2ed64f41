"""Objects that are small in the manifest and large in Envoy: they use memory and time that all tenants share."""

from __future__ import annotations

from tests.attack.attack import poisoned
from tests.attack.tenant import ATTACKER, BAIT, SERVICE, ingress, merged, secret, tenant, tls_secret
from tests.e2e.traffic import Backend
from tests.support.certificates import authority, issue
from tests.support.manifests import Manifest, endpoint_slice, milvus_policy, path

_NAMES = 1500
_PATHS = 7000
_CA_BYTES = 300_000
_CA_HOSTS = 200
_CLAIMED = 20_000
_ENDPOINTS = 20_000
_HEADER_BYTES = 900_000
_HEADER_PATHS = 8
_POLICY_INGRESSES = 25
_POLICY_HOSTS = 10


def _many_names(backend: Backend) -> list[Manifest]:
    names = [f"*.{BAIT}", *(f"n{number}.{BAIT}" for number in range(_NAMES))]
    return [
        *tenant(ATTACKER, backend),
        ingress(ATTACKER, [f"*.{BAIT}"], tls=["tls"]),
        tls_secret("tls", ATTACKER, issue(*names)),
    ]


def _many_paths(backend: Backend) -> list[Manifest]:
    paths = [path(f"/p{number}") for number in range(_PATHS)]
    return [
        *tenant(ATTACKER, backend),
        ingress(ATTACKER, [f"a.{BAIT}"], tls=["tls"], paths=paths),
        tls_secret("tls", ATTACKER, issue(f"a.{BAIT}")),
    ]


def _large_headers(backend: Backend) -> list[Manifest]:
    # Each is as long as one may be, and there are fewer than Envoy takes.
    headers = [f"x-h{number}:{'v' * 8000}" for number in range(_HEADER_BYTES // 8000)]
    paths = [path(f"/p{number}") for number in range(_HEADER_PATHS)]
    return [
        *tenant(ATTACKER, backend, {"customResponseHeaders": {"headers": headers}}),
        ingress(ATTACKER, [f"a.{BAIT}"], tls=["tls"], paths=paths),
        tls_secret("tls", ATTACKER, issue(f"a.{BAIT}")),
    ]


def _large_client_ca(backend: Backend) -> list[Manifest]:
    one = authority("Clients")
    count = _CA_BYTES // len(one.crt)
    bundle = b"".join(authority(f"Clients {number}").crt for number in range(count))
    return [
        *tenant(ATTACKER, backend),
        ingress(
            ATTACKER,
            [f"h{number}.{BAIT}" for number in range(_CA_HOSTS)],
            tls=["tls"],
            annotations={"kiteway.io/client-ca-secret": "clients"},
        ),
        tls_secret("tls", ATTACKER, issue(f"*.{BAIT}")),
        secret("clients", ATTACKER, **{"ca.crt": bundle}),
    ]


def _many_hosts(backend: Backend) -> list[Manifest]:
    each = 1000
    hosts = [f"h{number}.{BAIT}" for number in range(_CLAIMED)]
    return [
        *tenant(ATTACKER, backend),
        tls_secret("tls", ATTACKER, issue(f"*.{BAIT}")),
        *(
            ingress(ATTACKER, hosts[first : first + each], name=f"many-{first}", tls=["tls"])
            for first in range(0, _CLAIMED, each)
        ),
    ]


def _large_policies(backend: Backend) -> list[Manifest]:
    # As large as a policy may be with names in four limits, at a path that is most routes of Envoy's.
    limits = [
        {"by": ["user"], "names": [f"{key}{number:0250}" for number in range(64)], "requestsPerSecond": 1}
        for key in range(4)
    ]
    return [
        *tenant(ATTACKER, backend),
        milvus_policy(SERVICE, namespace=ATTACKER, limits=limits),
        tls_secret("tls", ATTACKER, issue(f"*.{BAIT}")),
        *(
            ingress(ATTACKER, [f"h{n}-{number}.{BAIT}" for n in range(_POLICY_HOSTS)], name=f"p{number}", tls=["tls"])
            for number in range(_POLICY_INGRESSES)
        ),
    ]


def _many_endpoints(backend: Backend) -> list[Manifest]:
    each = 1000
    slices = []
    for first in range(0, _ENDPOINTS, each):
        addresses = [f"127.{10 + at // 62500}.{at % 62500 // 250}.{1 + at % 250}" for at in range(first, first + each)]
        slices.append(
            merged(endpoint_slice(addresses, backend.port, SERVICE, ATTACKER), {"metadata": {"name": f"s{first}"}})
        )
    return [*tenant(ATTACKER, backend), ingress(ATTACKER, [BAIT]), *slices]


ATTACKS = (
    poisoned("B", f"{_NAMES:,} names in one certificate", _many_names),
    poisoned("B", f"{_PATHS:,} paths", _many_paths),
    poisoned("B", "0.9 MB of headers on eight paths", _large_headers),
    poisoned("B", "a client CA of 300 kB on 200 hosts", _large_client_ca),
    poisoned("B", f"limits of 65 kB on {_POLICY_INGRESSES * _POLICY_HOSTS} hosts", _large_policies),
    poisoned("B", f"{_ENDPOINTS:,} endpoints of one Service", _many_endpoints),
    poisoned("B", f"a namespace that claims {_CLAIMED:,} hosts", _many_hosts),
)
