"""TLS in Milvus, and a Service that does not declare it."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.manifests import Manifests, app_protocol
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped
from kiteway.resources import annotations as keys
from kiteway.resources.annotations import AppProtocol


def _check(manifests: Manifests) -> Iterator[Finding]:
    encrypted = next((config for config in manifests.milvus if config.tls_mode), None)
    for _, service, port in manifests.backends():
        if encrypted is None:
            yield skipped(service.ref, "no Milvus configuration with TLS was given.")
        elif app_protocol(service, port) is AppProtocol.HTTP2:
            yield passed(service.ref, f"the balancer uses HTTP/2 over TLS to port {port.port}, as Milvus expects.")
        else:
            name = port.name or "milvus"
            yield failed(
                service.ref,
                f"Milvus has TLS (tlsMode in {encrypted.ref.name}), but the balancer does not use HTTP/2 over TLS to "
                f"port {port.port}: every call fails.",
                f"""Name the port "{name}" and annotate {keys.APP_PROTOCOLS}: '{{"{name}":"HTTP2"}}'.""",
                position=service.at("metadata", "annotations", keys.APP_PROTOCOLS),
            )


RULE = Rule(
    "TLS_WITHOUT_HTTP2",
    "app-protocols of a Milvus with TLS",
    "With tlsMode: 1 the balancer has to speak TLS with HTTP/2 to the pods; without the annotation it speaks plaintext "
    "and every call ends in 502 or UNAVAILABLE (failures F11 and F22).",
    Scope.FILES,
    _check,
)
