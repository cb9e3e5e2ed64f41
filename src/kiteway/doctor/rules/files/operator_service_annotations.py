"""The Service annotations of the operator's Milvus."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import annotations as keys
from kiteway.resources.schema import Violation

_PORT = "milvus"
"""The name that the operator gives to the port of Milvus's API."""


def _check(manifests: Manifests) -> Iterator[Finding]:
    for config in manifests.milvus:
        for component, given in config.service_annotations:
            text = given.get(keys.APP_PROTOCOLS)
            if not isinstance(text, str):
                continue
            path = ("spec", "components", component, "serviceAnnotations", keys.APP_PROTOCOLS)
            protocols = keys.parse_app_protocols(text)
            if isinstance(protocols, Violation):
                problem = f"{keys.APP_PROTOCOLS} {protocols.message}"
            elif _PORT not in protocols:
                problem = (
                    f"{keys.APP_PROTOCOLS} names {', '.join(protocols) or 'no port'}; ports are looked up by name only."
                )
            else:
                yield passed(config.ref, f"{keys.APP_PROTOCOLS} names the port {_PORT}.")
                continue
            fix = f"""Write it with the port's name: {keys.APP_PROTOCOLS}: '{{"{_PORT}":"HTTP2"}}'."""
            yield failed(config.ref, problem, fix, position=config.value_at(*path))


RULE = Rule(
    "OPERATOR_SERVICE_ANNOTATIONS",
    "serviceAnnotations of the operator's Milvus",
    "The operator copies spec.components.proxy.serviceAnnotations to the Service, whose port is named milvus: an entry "
    'for "19530" is silently ignored (failure F13).',
    Scope.FILES,
    _check,
    Severity.WARNING,
)
