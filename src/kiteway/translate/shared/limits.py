"""The limits of one object in shared resources; docs/reference/limits.md is made from this file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_HEADERS: Final = 16
"""Custom headers of a BackendConfig in one direction; as GCP allows a backend service."""

LONGEST_HEADERS: Final = 8192
"""Bytes of them together, names and values before variables are replaced; as at GCP."""

LONGEST_HEADER_FORMAT: Final = 16_384
"""Bytes of one header's value with variables replaced by Envoy's commands; the most that Envoy takes."""

LONGEST_CA_BUNDLE: Final = 262_144
"""Bytes of the CAs (PEM) in one Secret; those of all public CAs together fit."""

MOST_RULES: Final = 300
"""Rules of one Ingress."""

MOST_PATHS: Final = 500
"""Paths of one Ingress, those of all its rules together; each is some ten routes of Envoy's."""

LONGEST_PATH: Final = 1024
"""Characters of a path, and of a health check's; as GCP allows in a URL map."""

LONGEST_HEADER_COPIES: Final = 1_048_576
"""Bytes of custom headers in all paths of one Ingress together: Envoy keeps them path by path."""

LONGEST_POLICY_COPIES: Final = 16_777_216
"""Bytes of limits of MilvusPolicies in Envoy, about: each path has 12 to 48 copies; others are not served."""

MOST_POLICIES: Final = 500
"""MilvusPolicies of one namespace; the oldest count."""

MOST_CERTIFICATES: Final = 100
"""Certificates of one Ingress; GKE allows 10."""

MOST_CERTIFICATE_NAMES: Final = 1000
"""Names of one Ingress's certificates that are answered although no rule is for them."""

LONGEST_CERTIFICATE_CHAIN: Final = 65_536
"""Bytes of a certificate chain (PEM); Go's TLS takes no longer handshake message (``maxHandshake``)."""

MOST_CACHE_MEMORY: Final = 536_870_912
"""Bytes of memory of the caches of all namespaces together, in each replica; the oldest MilvusPolicies keep theirs (`--cache-memory`)."""


@dataclass(frozen=True, slots=True)
class NamespaceLimits:
    """
    What all objects of one namespace may claim together; the oldest keep what they have.

    Attributes:
        hosts: hosts of rules, and one for a default backend; each takes 0.5 MB of memory of Envoy and the control plane.
        paths: paths of all hosts.
        challenges: paths of cert-manager's solvers, which count as no host and no path.
        certificates: certificates, counted at each Ingress that lists them.
        bytes: of the custom headers of each path, the limits of each route in Envoy, and, for each host, the longest certificate chain with the client CA.
        cache: bytes of memory of the caches that its MilvusPolicies turn on, in each replica.
        endpoints: endpoints of all pools, and as many again that drain; each is checked by two connections of Envoy and takes 25 kB of its memory.
    """

    hosts: int = 300
    paths: int = 2500
    challenges: int = 50
    certificates: int = 2000
    bytes: int = 33_554_432
    cache: int = 268_435_456
    endpoints: int = 500
