"""Settings of milvus.yaml at the top of the Helm values."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed


def _check(manifests: Manifests) -> Iterator[Finding]:
    for config in manifests.milvus:
        if config.values is None:
            continue
        for name in config.misplaced:
            yield failed(
                config.ref,
                f"{name} at the top of the values has no effect: the chart reads milvus.yaml's settings from "
                "extraConfigFiles.user.yaml alone.",
                "Move it into the text of extraConfigFiles.user.yaml (user.yaml: | and the lines below it, indented).",
                position=config.value_at(*name.split(".")),
            )
        if not config.misplaced:
            yield passed(config.ref, "no setting of milvus.yaml is at the top of the values.")


RULE = Rule(
    "HELM_MISPLACED",
    "Settings of milvus.yaml in the Helm values",
    "common.security.tlsMode at the top of the values looks right and does nothing: Milvus goes on without TLS, while "
    "the Service is annotated for it (milvus-helm copies extraConfigFiles.user.yaml into its configuration, nothing else).",
    Scope.FILES,
    _check,
)
