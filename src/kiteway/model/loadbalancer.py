"""The whole load balancer."""

from __future__ import annotations

from dataclasses import dataclass

from kiteway.model.certificates import Certificate, ClientAuth, TLSProfile, TrustBundle
from kiteway.model.challenges import Challenge
from kiteway.model.hosts import VirtualHost
from kiteway.model.pools import Pool


@dataclass(frozen=True, slots=True)
class ServerNames:
    """
    Which certificates are served for which SNI.

    Attributes:
        names: exact names and ``*.`` wildcards; empty is the default, for clients without SNI or with another name.
        certificates: names of `Certificate`; at most one RSA and one ECDSA.
        profile: the TLS profile; None offers Envoy's defaults.
        client_auth: see `ClientAuth`; None asks for no client certificate.
        host: the domain of the only virtual host on connections with this SNI; empty for all hosts.
    """

    names: tuple[str, ...]
    certificates: tuple[str, ...]
    profile: TLSProfile | None = None
    client_auth: ClientAuth | None = None
    host: str = ""


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """
    What the resources mean.

    Attributes:
        hosts: sorted by domain.
        pools: sorted by key.
        certificates: sorted by name.
        server_names: sorted by names; at most one default. Empty: there is no TLS, port 443 stays closed.
        bundles: the CAs that clients and endpoints are verified against, sorted by source.
        challenges: the answers for a CA that validates a name; no Ingress needs to claim the name.
        canonical_paths: whether paths were ever made canonical, and so still are. All filter chains share the setting, and
            each change drains the connections of all tenants; one tenant could cause that by adding and removing a path.
        replicas: live replicas of Kiteway, among which the limits of policies are divided.
    """

    hosts: tuple[VirtualHost, ...] = ()
    pools: tuple[Pool, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    server_names: tuple[ServerNames, ...] = ()
    bundles: tuple[TrustBundle, ...] = ()
    challenges: tuple[Challenge, ...] = ()
    canonical_paths: bool = False
    replicas: int = 1
