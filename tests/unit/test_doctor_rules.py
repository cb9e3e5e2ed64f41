"""Properties of every rule."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from kiteway.doctor import RULES, Rule, rules
from kiteway.doctor.rule import Scope

CHECK_GKE_INGRESS = {
    "ServiceExistenceCheck",
    "BackendConfigAnnotationCheck",
    "BackendConfigExistenceCheck",
    "HealthCheckTimeoutCheck",
    "IngressRuleCheck",
    "FrontendConfigExistenceCheck",
    "RuleHostOverwriteCheck",
    "AppProtocolAnnotationCheck",
    "L7ILBFrontendConfigCheck",
    "L7ILBNegAnnotationCheck",
}


def test_check_gke_ingress_is_among_them() -> None:
    """Its ten checks are rules, under their own names."""
    assert {rule.id for rule in RULES} >= CHECK_GKE_INGRESS


def test_one_rule_is_one_file() -> None:
    """A rule's file has the rule's name, in the folder of its scope."""
    modules = [m.name for m in pkgutil.walk_packages(rules.__path__, f"{rules.__name__}.") if not m.ispkg]
    assert len(modules) == len(RULES) == len({rule.id for rule in RULES})
    for name in modules:
        *_, scope, file = name.split(".")
        rule = importlib.import_module(name).RULE
        assert rule.scope == Scope(scope)
        assert rule.id.lower().replace("_", "") == file.replace("_", "")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_says_what_it_is(rule: Rule[object]) -> None:
    """The title has no full stop, and the reason is whole sentences: both are printed unchanged."""
    assert rule.title
    assert not rule.title.endswith(".")
    assert rule.why.endswith(".")


def test_no_reason_has_two_rules() -> None:
    """A diagnostic belongs to one check, so that nothing is reported twice."""
    reasons = [reason for rule in RULES for reason in rule.reasons]
    assert len(reasons) == len(set(reasons))
