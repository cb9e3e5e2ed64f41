"""Whether the balancer uses TLS to a Milvus without TLS."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.manifests import Manifests, app_protocol
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped
from kiteway.resources import annotations as keys
from kiteway.resources.annotations import AppProtocol


def _check(manifests: Manifests) -> Iterator[Finding]:
    encrypted = any(config.tls_mode for config in manifests.milvus)
    for _, service, port in manifests.backends():
        protocol = app_protocol(service, port)
        if protocol is AppProtocol.HTTP:
            yield passed(service.ref, f"the balancer uses plaintext to port {port.port}.")
        elif not manifests.milvus:
            yield skipped(service.ref, "no Milvus configuration was given that says whether Milvus has TLS.")
        elif encrypted:
            yield passed(service.ref, f"the balancer uses TLS to port {port.port}, and Milvus has TLS.")
        else:
            yield failed(
                service.ref,
                f"the balancer uses {protocol} to port {port.port}, which needs TLS, but Milvus runs without TLS (tlsMode 0).",
                "Set common.security.tlsMode to 1 in Milvus, or remove the annotation to speak plaintext.",
                position=service.at("metadata", "annotations", keys.APP_PROTOCOLS),
            )


RULE = Rule(
    "HTTP2_WITHOUT_TLS",
    "app-protocols of a Milvus without TLS",
    "HTTP2 means TLS with ALPN h2 to the pods: a Milvus with tlsMode: 0 refuses the handshake, and every call ends in "
    "502 (failure F6). On GKE there is no gRPC in plaintext to the pods; Kiteway uses it when app-protocols is absent.",
    Scope.FILES,
    _check,
)
