"""REST and gRPC on one port with TLS."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed


def _check(manifests: Manifests) -> Iterator[Finding]:
    for config in manifests.milvus:
        mode = config.tls_mode
        if not mode:
            yield passed(config.ref, "Milvus runs without TLS, so REST and gRPC may share a port.")
        elif not config.http_enabled:
            yield passed(config.ref, "REST is turned off.")
        elif config.http_port not in (None, config.proxy_port):
            yield passed(config.ref, f"REST has port {config.http_port} of its own.")
        else:
            yield failed(
                config.ref,
                f"tlsMode is {mode} while REST shares port {config.proxy_port} with gRPC: Milvus 2.5 and later do not "
                "start (tls mode must be 0), older ones drop REST without a message.",
                "Set proxy.http.port to another port, such as 8080, or proxy.http.enabled to false.",
                position=config.at("common", "security", "tlsMode"),
            )


RULE = Rule(
    "MILVUS_TLS_SHARED_PORT",
    "proxy.http.port of a Milvus with TLS",
    "The guide sets tlsMode: 1 and nothing else (trap G1): since Milvus 2.5 the proxy then panics at its start "
    "(failure F2), and older versions serve no REST (failure F3).",
    Scope.FILES,
    _check,
)
