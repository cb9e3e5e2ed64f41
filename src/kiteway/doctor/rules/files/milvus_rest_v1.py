"""Paths of a REST API that Milvus does not serve."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import Ingress

_ENABLE_V1 = ("proxy", "http", "enableV1")


def _check(manifests: Manifests) -> Iterator[Finding]:
    for config in manifests.milvus:
        if config.flag(*_ENABLE_V1) is not False:
            yield passed(config.ref, "REST has version 1.")
            continue
        routed = [
            (ingress, rule, number, path.path)
            for ingress in manifests.judged(Ingress)
            for rule, each in enumerate(ingress.spec.rules)
            for number, path in enumerate(each.http.paths if each.http else ())
            if path.path == "/v1" or (path.path or "").startswith("/v1/")
        ]
        for ingress, rule, number, path_text in routed:
            yield failed(
                ingress.ref,
                f'the path "{path_text}" leads to version 1 of REST, which {".".join(_ENABLE_V1)}: false turns off: Milvus answers '
                "404.",
                "Route /v2/vectordb, and let clients use version 2.",
                position=ingress.at("spec", "rules", rule, "http", "paths", number, "path"),
            )
        if not routed:
            yield passed(config.ref, "REST has no version 1, and no path leads to it.")


RULE = Rule(
    "MILVUS_REST_V1",
    "Version 1 of REST",
    "With proxy.http.enableV1: false (2.6 of September 2026, 3.0.1 and later; pkg/util/paramtable/http_param.go) Milvus does not "
    "register /v1/vector. Version 2 has other paths, requests and answers (2.4 and later).",
    Scope.FILES,
    _check,
    Severity.WARNING,
)
