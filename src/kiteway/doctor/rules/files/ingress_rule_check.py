"""Rules of an Ingress that have paths."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import Ingress


def _check(manifests: Manifests) -> Iterator[Finding]:
    for ingress in manifests.of(Ingress):
        empty = [index for index, rule in enumerate(ingress.spec.rules) if rule.http is None]
        for index in empty:
            host = ingress.spec.rules[index].host or "*"
            yield failed(
                ingress.ref,
                f'spec.rules[{index}]: the rule of the host "{host}" has no http, so it routes nothing.',
                "Add http.paths to it, or remove the rule.",
                position=ingress.at("spec", "rules", index),
            )
        if not empty:
            yield passed(ingress.ref, "every rule has paths.")


RULE = Rule(
    "IngressRuleCheck",
    "Rules without http",
    "A rule without http.paths routes nothing: its host ends at the default backend, with 404.",
    Scope.FILES,
    _check,
)
