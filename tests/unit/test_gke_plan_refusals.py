"""Plans that are refused, and what a plan warns of, from invented readings."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kiteway.gke.options import DataPlane
from kiteway.gke.plan import make_plan
from kiteway.gke.report import GkePlanReport
from kiteway.gke.step import Impact, State
from kiteway.gke.values import merged
from tests.support.gke import VALUES, deployment, live, release, wanted
from tests.unit.test_gke_plan import SHELL, after_everything, step_of


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"release": None}, "ReleaseNotFound"),
        ({"helm": (3, 13, 9)}, "HelmTooOld"),
        ({"service": None}, "ServiceNotFound"),
        ({"workload": None}, "WorkloadNotFound"),
        ({"release": release(status="pending-upgrade")}, "ReleasePending"),
        ({"release": release(merged(VALUES, {"customConfigMap": "mine"}))}, "CustomConfigMap"),
        ({"release": release({"extraConfigFiles": {"user.yaml": "- a"}})}, "UserYamlUnreadable"),
        (
            {"release": release({"extraConfigFiles": {"user.yaml": "common: {security: {tlsMode: 2}}"}})},
            "MilvusMutualTLS",
        ),
    ],
)
def test_impossible_plans_are_refused(fields: dict[str, Any], reason: str) -> None:
    """Each problem has its reason, and the plan has no step."""
    plan = make_plan(live(**fields), wanted(), SHELL)
    assert [p.reason for p in plan.problems if p.severity == "error"] == [reason]
    assert plan.steps == ()


@pytest.mark.parametrize(("port", "found"), [(19540, ["InternalDomainOpen"]), (0, []), ("", [])])
def test_a_port_without_credentials_is_told(port: object, found: list[str]) -> None:
    """A plan warns of ports that proxy.internalDomain opens, and can be applied."""
    text = f"proxy: {{internalDomain: {{httpPort: {port!r}}}}}"
    plan = make_plan(live(release=release({"extraConfigFiles": {"user.yaml": text}})), wanted(), SHELL)
    warned = [p.reason for p in plan.problems if p.severity == "warning"]
    assert [reason for reason in warned if reason == "InternalDomainOpen"] == found
    assert not plan.refused


def test_other_options_than_the_release_was_set_up_with_are_refused() -> None:
    """Changing the data plane would leave objects of the first one; --remove-l4 may be added later."""
    reading = after_everything(wanted())
    other = make_plan(reading, wanted(data_plane=DataPlane.KITEWAY), SHELL)
    assert [p.reason for p in other.problems] == ["OptionsChanged"]
    assert "data-plane" in other.problems[0].message
    later = make_plan(reading, wanted(remove_l4=True), SHELL)
    assert not later.refused
    assert {s.id for s in later.steps if s.state is State.TODO} == {"record", "remove-l4"}


def test_standalone_says_that_each_restart_interrupts() -> None:
    """A restart of a single Milvus interrupts clients, and the plan says so."""
    alone = release(merged(VALUES, {"cluster": {"enabled": False}}))
    workload = deployment("my-release-milvus-standalone", "standalone", 1)
    plan = make_plan(live(release=alone, workload=workload), wanted(), SHELL)
    assert step_of(plan, "readiness").effect.impact is Impact.INTERRUPTED
    assert [p.reason for p in plan.problems] == ["SingleProxy"]


def test_no_secret_is_shown() -> None:
    """A plan contains neither keys nor passwords of milvus.yaml, in any format."""
    text = "minio:\n  secretAccessKey: hunter2\ncommon:\n  security:\n    defaultRootPassword: hunter2\n"
    reading = live(release=release(merged(VALUES, {"extraConfigFiles": {"user.yaml": text}, "token": "hunter2"})))
    plan = make_plan(reading, wanted(), SHELL)
    shown = msgspec.json.encode(GkePlanReport.of_plan(plan)).decode() + repr(plan)
    assert "tlsMode" in shown
    assert "hunter2" not in shown
    assert "PRIVATE KEY" not in shown
