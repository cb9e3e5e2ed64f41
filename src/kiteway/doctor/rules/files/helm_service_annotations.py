"""The guide's annotations in the Helm values."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import annotations as keys

_WANTED = (keys.APP_PROTOCOLS, keys.BACKEND_CONFIG, keys.NEG)


def _check(manifests: Manifests) -> Iterator[Finding]:
    for config in manifests.milvus:
        if config.value("service") is None:
            continue
        annotations = config.value("service", "annotations")
        missing = [key for key in _WANTED if key not in (annotations if isinstance(annotations, dict) else {})]
        if missing:
            yield failed(
                config.ref,
                f"service.annotations lacks {', '.join(missing)}: annotations made by hand are lost at the next install.",
                "Put the guide's three annotations into service.annotations of the Helm values.",
                position=config.value_at("service"),
            )
        else:
            yield passed(config.ref, "the Service's annotations are in the Helm values.")


RULE = Rule(
    "HELM_SERVICE_ANNOTATIONS",
    "service.annotations of the Helm values",
    "The guide sets the three annotations with kubectl annotate (trap G10): they are in no Helm values and are gone "
    "after a reinstall, or reverted by GitOps.",
    Scope.FILES,
    _check,
    Severity.WARNING,
)
