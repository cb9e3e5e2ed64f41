"""
Each rule about files: an edit for which it reports a problem, with the text, and a similar edit for which it
does not.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from kiteway.diagnostics import ObjectRef, Severity
from kiteway.doctor import RULES, Finding, Manifests, Result, Scope, examine, read_manifests
from kiteway.doctor.milvus_config import MilvusConfig
from kiteway.doctor.rules.files import milvus_idle_timeout
from kiteway.envoy.xds import clusters
from tests.unit.doctor_cases import CASES, MORE
from tests.unit.doctor_edits import Case, Edit
from tests.unit.doctor_manifests import INGRESS_CLASS, NOW, Files


def _failures(rule_id: str, manifests: Manifests) -> tuple[list[Finding], list[Finding]]:
    """Return what a rule found: the failures, and everything."""
    rule = next(rule for rule in RULES if rule.id == rule_id)
    findings = list(rule.check(manifests))
    return [finding for finding in findings if finding.result is Result.FAILED], findings


def _read(edit: Edit, folder: Path) -> Manifests:
    files = Files()
    edit(files)
    return files.read(folder)


def test_every_rule_has_a_case() -> None:
    """Every rule about files has a case here, and every case a rule."""
    assert sorted(case.rule for case in CASES) == sorted(rule.id for rule in RULES if rule.scope is Scope.FILES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_rule_fires(case: Case, tmp_path: Path) -> None:
    """The report names the mistake and says what to do."""
    failures, _ = _failures(case.rule, _read(case.fires, tmp_path))
    assert failures
    assert any(case.words in failure.message for failure in failures), [failure.message for failure in failures]
    for failure in failures:
        assert failure.fix.endswith((".", "?")), f"the fix must end with a full stop: {failure.fix}"
        assert failure.message.endswith("."), f"the message must end with a full stop: {failure.message}"
        assert failure.position is not None, f"give the finding a position, position=object.at(...): {failure.message}"


@pytest.mark.parametrize(("rule", "fires", "words"), MORE)
def test_a_rule_fires_in_other_ways(rule: str, fires: Edit, words: str, tmp_path: Path) -> None:
    """The same mistake in another form is reported, too."""
    failures, _ = _failures(rule, _read(fires, tmp_path))
    assert any(words in failure.message for failure in failures), [failure.message for failure in failures]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_rule_stays_silent(case: Case, tmp_path: Path) -> None:
    """A similar edit without the mistake passes, and is not skipped."""
    failures, findings = _failures(case.rule, _read(case.near_miss, tmp_path))
    assert failures == []
    assert case.rule in {"LEFT_OUT", "MANIFEST_ERRORS", "MANAGED_CERT_ORDER"} or any(
        f.result is Result.PASSED for f in findings
    )


def test_manifests_without_a_mistake_pass(tmp_path: Path) -> None:
    """The manifests from which the cases start pass every rule, so each case shows its own mistake."""
    report = examine(Scope.FILES, Files().read(tmp_path))
    assert not report.failed
    assert report.count(Severity.WARNING) == 0, [
        (resource, check.finding.message) for resource, checks in report.checks for check in checks if check.severity
    ]


def test_every_error_of_plan_is_a_failed_check(tmp_path: Path) -> None:
    """Every error of the translation is a failed check of one of the rules."""
    for case in CASES:
        manifests = _read(case.fires, tmp_path)
        errors = {d.message for d in manifests.diagnostics if d.severity is Severity.ERROR}
        report = examine(Scope.FILES, manifests)
        said = [check.finding.message for _, checks in report.checks for check in checks if check.severity]
        assert all(any(error in message for message in said) for error in errors), case.rule
        assert not errors or report.failed, case.rule


def test_unchecked_objects_do_not_pass(tmp_path: Path) -> None:
    """With an Ingress of another class no rule passes on it, its Service or its BackendConfig: they are skipped."""
    files = Files()
    files.annotations[INGRESS_CLASS] = "nginx"
    report = examine(Scope.FILES, files.read(tmp_path))
    found = {ref.kind: [check.finding.result for check in checks] for ref, checks in report.checks}
    for kind in ("Ingress", "Service", "BackendConfig"):
        assert Result.SKIPPED in found[kind], found
        assert Result.PASSED not in found[kind], found
    words = [c.finding.message for _, checks in report.checks for c in checks if c.finding.result is Result.SKIPPED]
    assert any('it is of the class "nginx", which belongs to another controller' in each for each in words)


def test_one_object_without_effect_is_reported_once(tmp_path: Path) -> None:
    """A BackendConfig that no Service names, and an Ingress of a misspelt class, are not said to be left out as well."""
    files = Files()
    files.add("cloud.google.com/v1", "BackendConfig", "other", spec={})
    files.annotations[INGRESS_CLASS] = "kitewy"
    report = examine(Scope.FILES, files.read(tmp_path))
    said = {ref: {check.code: check.finding.message for check in checks} for ref, checks in report.checks}
    assert said[ObjectRef("BackendConfig", "default", "other")].keys() == {"BackendConfigUnattached"}
    (of_ingress,) = (found for ref, found in said.items() if ref.kind == "Ingress")
    assert "IngressClassMisspelt" in of_ingress
    assert not any("no rule looked at it" in message for message in of_ingress.values())


def test_a_milvus_yaml_is_read_as_well(tmp_path: Path) -> None:
    """A plain milvus.yaml, without Helm values, is checked, and the finding has the position."""
    path = tmp_path / "milvus.yaml"
    path.write_text("proxy:\n  port: 19530\ncommon:\n  security:\n    tlsMode: 1\n")
    failures, _ = _failures("MILVUS_TLS_SHARED_PORT", read_manifests([path], NOW))
    assert [str(failure.position) for failure in failures] == [f"{path}:5:14"]


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    """An unreadable path is an error in the report, not an exception."""
    failures, _ = _failures("MANIFEST_ERRORS", read_manifests([tmp_path / "none.yaml"], NOW))
    assert "cannot be read" in failures[0].message


def test_limits_without_the_filter_are_said_to_have_no_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy is in order, but nothing would enforce it."""
    monkeypatch.setenv("KITEWAY_FILTER_PATH", str(tmp_path / "none.so"))

    def limit(files: Files) -> None:
        spec = {
            "targetRefs": [{"kind": "Service", "name": "milvus"}],
            "limits": [{"by": ["user"], "inFlight": 1}],
        }
        files.add("kiteway.io/v1alpha1", "MilvusPolicy", "policy", spec=spec)

    [failure], _ = _failures("MILVUS_POLICY", _read(limit, tmp_path))
    assert "without Kiteway's filter" in failure.message


def test_ports_of_other_programs_are_no_ports_of_milvus(tmp_path: Path) -> None:
    """A Service that does not lead to Milvus may open 22222; one that selects the Pods of a routed Service may not."""

    def opened(selector: dict[str, str]) -> list[str]:
        files = Files()
        files.service["spec"]["selector"] = {"app": "milvus"}
        files.add("v1", "Service", "other", spec={"type": "NodePort", "ports": [{"port": 22222}], "selector": selector})
        return [failure.resource.name for failure in _failures("MILVUS_INTERNAL_PORTS", files.read(tmp_path))[0]]

    assert opened({"app": "git"}) == []
    assert opened({"app": "milvus"}) == ["other"]


def test_the_idle_time_is_that_of_the_pools() -> None:
    """MILVUS_IDLE_TIMEOUT compares with the time after which Envoy closes a connection."""
    assert milvus_idle_timeout.BALANCER_IDLE == clusters.UPSTREAM_IDLE


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("300s", 300), ("1m30s", 90), ("1.5h", 5400), ("0", 0), (0, 0), ("250ms", 0.25)]
    + [(wrong, None) for wrong in ("300", 300, "5 s", "s", "", True, None, ["5s"], "5s5", "-5s", "9" * 400 + "s")],
)
def test_durations_are_read_as_milvus_does(text: object, seconds: float | None) -> None:
    """A duration needs units; what Milvus could not read is no setting."""
    config = MilvusConfig(
        ObjectRef("MilvusConfiguration", "", "x"), settings={"proxy": {"http": {"idleTimeout": text}}}
    )
    assert config.seconds("proxy", "http", "idleTimeout") == seconds
