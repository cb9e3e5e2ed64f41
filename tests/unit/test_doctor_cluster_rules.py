"""
Each rule about a cluster: facts for which it reports a problem, with the text, and similar facts for which it
does not.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from kiteway.diagnostics import ObjectRef
from kiteway.doctor import RULES, Finding, Result, Scope
from kiteway.doctor.cluster.assemble import assemble
from kiteway.doctor.cluster.facts import HELM_RELEASE, ClusterFacts, Unread
from kiteway.doctor.cluster.look import examine_cluster
from kiteway.probe import ProbeFailure, Reason
from kiteway.probe.tls import TlsResult
from tests.unit.doctor_cluster import BACKENDS, CLOSED, Cluster, front_seen, pod_seen
from tests.unit.doctor_cluster_cases import CASES, MORE, PRE_SHARED, SILENT, Case, Edit
from tests.unit.doctor_documents import assert_convertible
from tests.unit.doctor_manifests import APP_PROTOCOLS, BACKEND_CONFIG, INGRESS_CLASS, MANAGED, NEG, STATIC_IP

NOT_TLS = ProbeFailure(Reason.NOT_TLS, "the server speaks HTTP/2 in plaintext")

# What a case's mistake is besides, or brings with it.
ALSO = {
    "INGRESS_ADDRESS": {"GKE_SYNC"},
    "INGRESS_CLASS_SERVED": {"INGRESS_ADDRESS"},
    "MANAGED_CERT_STUCK": {"DNS_ADDRESS"},
    "GRPC_PATH": {"GRPC_DIRECT"},
}

ALL_KINDS = (
    "Ingress",
    "IngressClass",
    "Service",
    "EndpointSlice",
    "BackendConfig",
    "FrontendConfig",
    "ManagedCertificate",
    "Pod",
    "PodDisruptionBudget",
    "Event",
)


def _facts(edit: Edit) -> ClusterFacts:
    cluster = Cluster()
    edit(cluster)
    return cluster.facts()


def _failures(rule_id: str, facts: ClusterFacts) -> tuple[list[Finding], list[Finding]]:
    """Return what a rule found to say, which CLUSTER_READ does by skipping, and everything."""
    rule = next(rule for rule in RULES if rule.id == rule_id)
    findings = list(rule.check(facts))
    bad = Result.SKIPPED if rule_id == "CLUSTER_READ" else Result.FAILED
    return [finding for finding in findings if finding.result is bad], findings


def test_every_rule_has_a_case() -> None:
    """Every rule about a cluster has a case here, and every case a rule."""
    assert sorted(case.rule for case in CASES) == sorted(rule.id for rule in RULES if rule.scope is Scope.CLUSTER)


@pytest.mark.parametrize(
    ("rule", "edit", "words"), [case[:3] for case in CASES] + MORE, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_rule_fires(rule: str, edit: Edit, words: str) -> None:
    """The report names the problem and says what to do."""
    failures, _ = _failures(rule, _facts(edit))
    assert any(words in failure.message for failure in failures), [failure.message for failure in failures]
    assert all(failure.fix.endswith(".") for failure in failures if failure.result is Result.FAILED)


@pytest.mark.parametrize(("rule", "edit"), [(case.rule, case.near_miss) for case in CASES] + SILENT)
def test_a_rule_stays_silent(rule: str, edit: Edit) -> None:
    """Similar facts without the problem are not reported."""
    failures, _ = _failures(rule, _facts(edit))
    assert failures == []


def test_a_good_cluster_passes() -> None:
    """The facts from which the cases start pass every rule, and no rule about clusters is skipped."""
    cluster = Cluster()
    cluster.manage("Active")
    cluster.annotations["ingress.gcp.kubernetes.io/pre-shared-cert"] = "mcrt-managed"
    cluster.fronts, cluster.backs = [], [pod_seen(1), pod_seen(2)]
    report = examine_cluster(cluster.facts())
    checks = [(resource, check) for resource, found in report.checks for check in found]
    assert [(str(r), c.rule.id, c.finding.message) for r, c in checks if c.severity] == []
    passed = {check.rule.id for _, check in checks if check.finding.result is Result.PASSED}
    assert {rule.id for rule in RULES if rule.scope is Scope.CLUSTER} - passed == {"GRPC_PATH"}


@pytest.mark.parametrize("kind", [*ALL_KINDS, "Secret", HELM_RELEASE])
def test_unreadable_kinds_are_not_reported_as_wrong(kind: str) -> None:
    """
    If one kind may not be read, no other check fails; the report names the kind, and rules that need it are
    skipped.
    """
    cluster = Cluster()
    cluster.manage("Active")
    name = "my-release" if kind == HELM_RELEASE else ""
    cluster.unread.append(Unread(kind, name, "forbidden"))
    cluster.helm = kind != HELM_RELEASE
    report = examine_cluster(cluster.facts())
    checks = [check for _, found in report.checks for check in found]
    assert [(c.rule.id, c.finding.message) for c in checks if c.severity] == []
    assert any(c.rule.id == "CLUSTER_READ" and c.finding.message.startswith(kind) for c in checks)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_no_mistake_is_reported_twice(case: Case) -> None:
    """One mistake has one finding about one object, and no second one from a rule about the values behind it."""
    facts = _facts(case.fires)
    _, findings = _failures(case.rule, facts)
    assert len({(finding.resource, finding.message) for finding in findings}) == len(findings)
    report = examine_cluster(facts)
    failing = {check.rule.id for _, found in report.checks for check in found if check.severity}
    assert failing - {case.rule} == ALSO.get(case.rule, set())


def test_an_api_server_that_does_not_answer_is_the_only_thing_said() -> None:
    """If the API server cannot be reached, no other check is made."""
    facts = ClusterFacts(now=Cluster().facts().now, server="https://x", namespace="n", name="r", problem="no route")
    report = examine_cluster(facts)
    assert report.failed
    assert [check.finding.message for _, found in report.checks for check in found] == [
        "the API server cannot be reached: no route."
    ]


def test_endpoints_and_addresses_are_judged_as_addresses_are() -> None:
    """The rules about addresses apply to the Ingress's address, and some of them to the Pods behind it."""
    cluster = Cluster()
    cluster.fronts = [front_seen()]
    cluster.backs = [pod_seen(1), pod_seen(2, tcp=CLOSED, tls=None, connect=None, version=None, serving=None)]
    checks = {(r, c.rule.id): c.finding for r, found in examine_cluster(cluster.facts()).checks for c in found}
    assert checks[ObjectRef("Pod", "default", "milvus-1"), "GRPC_DIRECT"].result is Result.PASSED
    race = checks[ObjectRef("Pod", "default", "milvus-2"), "HEALTHZ_RACE"]
    assert "answers /healthz with OK, but the serving port does not" in race.message
    assert (ObjectRef("Address", "", "my-release.milvus.io:443"), "CERT_HOST") in checks
    assert not any(rule == "CERT_HOST" and ref.kind == "Pod" for ref, rule in checks)


@pytest.mark.parametrize("gke", [True, False])
def test_advice_about_gke_is_for_gke(*, gke: bool) -> None:
    """Without Google's controller nothing is said of a reserved address, which only Google has."""
    cluster = Cluster()
    del cluster.annotations[STATIC_IP]
    cluster.annotations[INGRESS_CLASS] = "gce"
    cluster.gke, cluster.classes = gke, {} if gke else {"kiteway": "kiteway.io/ingress-controller"}
    codes = {check.code for _, found in examine_cluster(cluster.facts()).checks for check in found if check.severity}
    assert ("StaticIPMissing" in codes) is gke


@pytest.mark.parametrize(
    ("seen", "words", "fix"),
    [
        (
            {"tls": TlsResult(plaintext="HTTP/2", failure=NOT_TLS), "secure": True},
            "it speaks HTTP/2 in plaintext, and the Service default/milvus says TLS",
            "remove cloud.google.com/app-protocols from the Service",
        ),
        (
            {"tls": None, "speaks_tls": True, "secure": False},
            "it speaks TLS, and the Service default/milvus says plaintext",
            "Annotate the Service with cloud.google.com/app-protocols",
        ),
    ],
)
def test_the_wrong_protocol_of_a_pod_is_a_matter_of_its_service(seen: dict[str, Any], words: str, fix: str) -> None:
    """The advice is about the annotation and Milvus, not about options of the command."""
    secure = seen.pop("secure")
    cluster = Cluster()
    pod = pod_seen(1, connect=None, version=None, serving=None, **seen)
    target = dataclasses.replace(pod.target, secure=secure, service=ObjectRef("Service", "default", "milvus"))
    cluster.backs = [dataclasses.replace(pod, target=target)]
    checks = {(r, c.rule.id): c.finding for r, found in examine_cluster(cluster.facts()).checks for c in found}
    found = checks[ObjectRef("Pod", "default", "milvus-1"), "TLS_HANDSHAKE"]
    assert words in found.message
    assert fix in found.fix
    assert "--plaintext" not in found.fix


def test_a_name_that_is_nearly_that_of_an_object_is_suggested() -> None:
    """The objects of the namespace are known, so the advice is not to create one more."""
    cluster = Cluster()
    rule = cluster.ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    rule["name"] = "milvs"
    fixes = [c.finding.fix for _, found in examine_cluster(cluster.facts()).checks for c in found if c.severity]
    assert "Did you mean milvus? The namespace has a Service of this name." in fixes


def test_only_objects_of_the_release_are_checked() -> None:
    """A mistake in another release's Ingress is not reported; an Ingress with a missing Service is."""
    cluster = Cluster()
    other = {**cluster.service, "metadata": {**cluster.service["metadata"], "name": "other", "labels": {}}}
    other["spec"] = {**other["spec"], "selector": {"app": "other"}}
    elsewhere, nowhere = (_leading_to(cluster.ingress, name) for name in ("other", "nothing"))
    cluster.more = {"Service": [other], "Ingress": [elsewhere, nowhere]}
    refs = {resource.name for resource, _ in examine_cluster(cluster.facts()).checks if resource.kind == "Ingress"}
    assert refs == {"milvus", "to-nothing"}


def test_another_releases_broken_backend_config_is_not_judged() -> None:
    """An unreadable object is reported only if the release's objects name it."""
    cluster = Cluster()
    broken = {**cluster.config, "metadata": {"name": "other", "namespace": "default"}, "spec": {"timeoutSec": "long"}}
    cluster.more = {"BackendConfig": [broken]}
    assert not examine_cluster(cluster.facts()).failed
    cluster.config["spec"]["timeoutSec"] = "long"
    assert examine_cluster(cluster.facts()).failed


@pytest.mark.parametrize("text", ["", "AAAA", "not base64", "eyJh", "VzEwPQ==", "Ym5Wc2JBPT0=", "ZTMwPQ=="])
def test_an_undecodable_release_is_reported(text: str) -> None:
    """For any content of Helm's Secret no exception is raised, and the rules that need the values are skipped."""
    cluster = Cluster()
    snapshot = dataclasses.replace(cluster.snapshot(), release={"metadata": {}, "data": {"release": text}})
    facts = assemble(snapshot, "my-release", cluster.facts().now)
    report = examine_cluster(facts)
    results = {c.rule.id: c.finding.result for _, found in report.checks for c in found}
    assert not report.failed
    assert results["HELM_VALUES_DRIFT"] is Result.SKIPPED


@given(
    st.sampled_from([APP_PROTOCOLS, BACKEND_CONFIG, NEG, BACKENDS, PRE_SHARED, MANAGED, INGRESS_CLASS]),
    st.one_of(st.text(max_size=40), st.sampled_from(["{}", "[]", "null", '{"a": 1}', "[[[", "9" * 5000, "1e999"])),
)
def test_no_annotation_makes_it_raise(key: str, value: str) -> None:
    """With any text in annotations there is a report."""
    cluster = Cluster()
    cluster.annotations[key] = value
    cluster.service_annotations[key] = value
    assert_convertible(examine_cluster(cluster.facts()))


def _leading_to(ingress: dict[str, object], service: str) -> dict[str, object]:
    backend = {"service": {"name": service, "port": {"number": 19530}}}
    rule = {
        "host": f"{service}.milvus.io",
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
    }
    return {**ingress, "metadata": {"name": f"to-{service}", "namespace": "default"}, "spec": {"rules": [rule]}}


def test_a_service_of_googles_balancer_needs_no_annotation_of_kiteway() -> None:
    """As `kiteway gke apply` leaves it on GKE. Where Kiteway serves the Ingress, the missing port of REST is a warning."""

    def codes(class_: str, *, gke: bool) -> set[str]:
        cluster = Cluster()
        cluster.gke = gke
        cluster.annotations[INGRESS_CLASS] = class_
        del cluster.service_annotations["kiteway.io/rest-port"]
        del cluster.values["service"]["annotations"]["kiteway.io/rest-port"]
        return {
            check.code for _, checks in examine_cluster(cluster.facts()).checks for check in checks if check.severity
        }

    assert codes("gce", gke=True) == set()
    assert "RestPortMissing" in codes("kiteway", gke=True)
    assert "RestPortMissing" in codes("gce", gke=False)
