"""Client certificates behind a balancer."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import annotations as keys

_MUTUAL = 2


def _check(manifests: Manifests) -> Iterator[Finding]:
    shown = [
        service.ref
        for _, service, _ in manifests.backends()
        if keys.BACKEND_CLIENT_CERTIFICATE in service.metadata.annotations
    ]
    for config in manifests.milvus:
        if config.tls_mode != _MUTUAL:
            yield passed(config.ref, "Milvus asks for no client certificate.")
        elif shown:
            yield passed(config.ref, f"Kiteway shows Milvus the client certificate that {shown[0]} names.")
        else:
            yield failed(
                config.ref,
                "tlsMode is 2: Milvus demands a client certificate, and no annotation names the one that the balancer shows.",
                f"Annotate the Service with {keys.BACKEND_CLIENT_CERTIFICATE}; on GKE, set tlsMode to 1.",
                position=config.at("common", "security", "tlsMode"),
            )


RULE = Rule(
    "MILVUS_MTLS",
    "tlsMode: 2",
    "A Layer-7 balancer terminates the client's TLS and opens a connection of its own: with tlsMode: 2 Milvus refuses every connection that "
    "shows no certificate. GKE's Ingress cannot show one at all; Kiteway shows that of the Service's annotation.",
    Scope.FILES,
    _check,
)
