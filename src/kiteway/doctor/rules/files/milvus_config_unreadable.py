"""Whether the Milvus configuration can be read."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed


def _check(manifests: Manifests) -> Iterator[Finding]:
    for config in manifests.milvus:
        mode = config.setting("common", "security", "tlsMode")
        if config.problem:
            fix = "Write it as in the guide: user.yaml: | and the lines of milvus.yaml below it, indented."
            yield failed(config.ref, config.problem, fix, position=config.at())
        elif mode is not None and config.tls_mode not in (0, 1, 2):
            at = config.at("common", "security", "tlsMode")
            message = "common.security.tlsMode is none of 0, 1 and 2: Milvus does not start."
            yield failed(config.ref, message, "Set it to 0, or to 1 for TLS.", position=at)
        else:
            yield passed(config.ref, "it can be read.")


RULE = Rule(
    "MILVUS_CONFIG_UNREADABLE",
    "Milvus configuration that Milvus cannot read",
    "extraConfigFiles.user.yaml is one text inside the Helm values: a mistake in it shows only when the Pods crash.",
    Scope.FILES,
    _check,
)
