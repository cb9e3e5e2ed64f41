"""Client certificates behind a balancer."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed

_MUTUAL = 2


def _check(manifests: Manifests) -> Iterator[Finding]:
    for config in manifests.milvus:
        if config.tls_mode == _MUTUAL:
            yield failed(
                config.ref,
                "tlsMode is 2: Milvus demands a client certificate, which the load balancer does not have.",
                "Set common.security.tlsMode to 1, and keep Milvus's port to the balancer by a NetworkPolicy.",
                position=config.at("common", "security", "tlsMode"),
            )
        else:
            yield passed(config.ref, "Milvus asks for no client certificate.")


RULE = Rule(
    "MILVUS_MTLS",
    "tlsMode: 2",
    "A Layer-7 balancer ends the client's TLS and opens its own: with tlsMode: 2 Milvus refuses every connection of it. "
    "GKE's Ingress cannot present a client certificate at all.",
    Scope.FILES,
    _check,
)
