"""
cert-manager's solver of HTTP-01 challenges: a separate Ingress for the host whose certificate is issued.

On GKE it gets its own address and never sees the challenge; other controllers put its path beside the host's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from kiteway.resources import Ingress
from kiteway.translate.shared.unit import HostClaim

_LABEL = "acme.cert-manager.io/http01-solver"
"""The label that cert-manager gives to its solvers."""
_PATH = "/.well-known/acme-challenge/"
"""Where a CA looks for the answer (RFC 8555, section 8.3)."""


def is_solver(ingress: Ingress) -> bool:
    """
    Return whether an Ingress is for challenges alone: by its label, its hosts, and each of its paths.

    HTTP-01 is for no wildcard (RFC 8555, section 8.3): an Ingress with one takes names from other hosts, as no solver may.
    """
    if ingress.metadata.labels.get(_LABEL) != "true" or ingress.spec.default_backend is not None:
        return False
    if any(rule.http is None or (rule.host or "").startswith("*") for rule in ingress.spec.rules):
        return False
    paths = [path.path or "" for rule in ingress.spec.rules if rule.http is not None for path in rule.http.paths]
    return bool(paths) and all(path.startswith(_PATH) and path not in {_PATH, f"{_PATH}*"} for path in paths)


def for_challenges(hosts: Sequence[HostClaim]) -> tuple[HostClaim, ...]:
    """Return the claims with routes that port 80 always serves."""
    return tuple(
        dataclasses.replace(host, routes=tuple(dataclasses.replace(route, challenge=True) for route in host.routes))
        for host in hosts
    )
