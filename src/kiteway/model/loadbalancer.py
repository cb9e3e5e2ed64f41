"""The whole of it."""

from __future__ import annotations

from dataclasses import dataclass

from kiteway.model.certificates import Certificate, ClientAuth, TLSProfile, TrustBundle
from kiteway.model.challenges import Challenge
from kiteway.model.hosts import VirtualHost
from kiteway.model.pools import Pool


@dataclass(frozen=True, slots=True)
class ServerNames:
    """
    Which certificates answer which SNI.

    Attributes:
        names: exact names and ``*.`` wildcards; empty is the default, for clients without SNI or with another name.
        certificates: names of `Certificate`; at most one RSA and one ECDSA.
        profile: the TLS profile; None offers what is best today.
        client_auth: see `ClientAuth`; None asks clients for nothing.
        host: the domain of the one virtual host that is served on such connections; empty for all.
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
        challenges: what a CA shall see while it validates a name; they need no host of an Ingress.
        canonical_paths: whether paths were made canonical before, and so still are: the setting is one of all filter chains,
            and each change of it drains the connections of all tenants, one of whom could have a path come and go.
    """

    hosts: tuple[VirtualHost, ...] = ()
    pools: tuple[Pool, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    server_names: tuple[ServerNames, ...] = ()
    bundles: tuple[TrustBundle, ...] = ()
    challenges: tuple[Challenge, ...] = ()
    canonical_paths: bool = False
