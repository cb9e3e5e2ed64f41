"""Plans made from invented readings."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

from kiteway.gke import graceful, kiteway
from kiteway.gke.live import ClusterReading, StaticAddress
from kiteway.gke.names import names
from kiteway.gke.objects import backend_config, ingress, route, tls_secret
from kiteway.gke.options import CertificateKind, DataPlane, GkeOptions
from kiteway.gke.plan import make_plan
from kiteway.gke.record import make_record
from kiteway.gke.rollout import rolled_out
from kiteway.gke.shell import Shell
from kiteway.gke.step import Impact, Plan, State, Step
from kiteway.gke.values import merged, upgraded
from kiteway.resources.load import load_documents
from tests.support.gke import DEFAULTS, HOST, VALUES, deployment, live, proxy_pod, release, service, wanted, with_groups

SHELL = Shell("gke_project_zone_cluster", "my-project")


def states(reading: ClusterReading, wish: GkeOptions) -> dict[str, State]:
    """Return where each step stands."""
    return {step.id: step.state for step in make_plan(reading, wish, SHELL).steps}


def step_of(plan: Plan, wanted_id: str) -> Step:
    """Return a step that must be in the plan."""
    step = plan.step(wanted_id)
    assert step is not None, f"{wanted_id} is not in {[s.id for s in plan.steps]}"
    return step


def after_everything(wish: GkeOptions) -> ClusterReading:
    """Return what is there when every step of Google's data plane is done."""
    before = live()
    called = names(before, before.release, wish)  # type: ignore[arg-type]
    values = upgraded(release(), wish, called)
    front = ingress(before, wish, called)
    front["status"] = {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}}
    front["metadata"]["annotations"]["ingress.kubernetes.io/backends"] = '{"k8s1-x":"HEALTHY"}'
    workload = deployment()
    patch = graceful.patch(wish, "proxy")["spec"]
    workload["spec"]["minReadySeconds"] = patch["minReadySeconds"]
    pod = workload["spec"]["template"]["spec"]
    pod["terminationGracePeriodSeconds"] = patch["template"]["spec"]["terminationGracePeriodSeconds"]
    pod["containers"][0]["lifecycle"] = patch["template"]["spec"]["containers"][0]["lifecycle"]
    items = [
        front,
        backend_config(wish, called, "default"),
        tls_secret(called.certificate, "default", HOST),
        tls_secret(called.backend_certificate, "default", HOST),
    ]
    return live(
        release=release(values, revision=4),
        workload=workload,
        objects={(i["kind"], "default", i["metadata"]["name"]): i for i in items},
        record=make_record(before, release(), wish, called),
        front=with_groups(service()),
        pods=(proxy_pod(gate=True), proxy_pod(gate=True)),
        static_address=StaticAddress(known=True, address="198.51.100.7"),
        addresses=("198.51.100.7",),
    )


def test_the_steps_are_in_the_order_that_works() -> None:
    """The record first, the address before the Ingress, the old balancer last (G4, G5, G9)."""
    assert list(states(live(), wanted(remove_l4=True))) == [
        "record",
        "static-ip",
        "certificate",
        "backend-certificate",
        "backend-config",
        "milvus-tls",
        "ingress",
        "endpoint-groups",
        "readiness",
        "ready",
        "dns",
        "remove-l4",
    ]


def test_the_old_balancer_stays_unless_asked() -> None:
    """Without --remove-l4 no step changes service.type: removing the old balancer first is an outage (G9)."""
    plan = make_plan(live(), wanted(), SHELL)
    assert "remove-l4" not in states(live(), wanted())
    assert "ClusterIP" not in "".join(step.diff for step in plan.steps)


def test_when_everything_is_there_nothing_is_to_be_done() -> None:
    """A plan after a complete apply has no step to do."""
    plan = make_plan(after_everything(wanted()), wanted(), SHELL)
    assert {step.id for step in plan.steps if step.state is not State.DONE} == set()
    assert not plan.changes
    assert not any(step.commands or step.diff for step in plan.steps)


def test_the_release_is_upgraded_once_and_keeps_its_chart_version() -> None:
    """One upgrade, with --reset-then-reuse-values and the version that runs (G2)."""
    plan = make_plan(live(), wanted(), SHELL)
    upgrades = [c for step in plan.steps for c in step.commands if c.argv[0] == "helm"]
    assert len(upgrades) == 1
    assert str(upgrades[0]) == (
        "helm --kube-context gke_project_zone_cluster upgrade my-release milvus/milvus --version 5.0.1 -n default "
        "--reset-then-reuse-values -f -   # < the values that change"
    )


def test_the_plan_names_the_clients_that_tls_interrupts() -> None:
    """Turning on TLS interrupts plaintext clients; the plan says so, names their address and the alternative."""
    step = step_of(make_plan(live(), wanted(), SHELL), "milvus-tls")
    assert step.effect.impact is Impact.PLAINTEXT_INTERRUPTED
    assert "203.0.113.9" in step.effect.text
    assert "--data-plane kiteway" in step.effect.text


def test_tls_that_is_on_already_only_reconnects_clients() -> None:
    """If Milvus uses TLS already, its clients only reconnect."""
    text = "common: {security: {tlsMode: 1}}\n"
    on = release(merged(VALUES, {"extraConfigFiles": {"user.yaml": text}}))
    step = step_of(make_plan(live(release=on), wanted(), SHELL), "milvus-tls")
    assert step.effect.impact is Impact.RECONNECT


def test_kiteways_data_plane_affects_no_client() -> None:
    """No step of Kiteway's data plane affects connected clients or changes Milvus's release."""
    plan = make_plan(live(), wanted(data_plane=DataPlane.KITEWAY), SHELL)
    assert {s.effect.impact for s in plan.steps if s.id != "dns"} == {Impact.NONE}
    assert "milvus-tls" not in {s.id for s in plan.steps}


def test_google_and_kiteway_affect_no_client() -> None:
    """With Kiteway between Google and Milvus, neither the release nor its clients are affected."""
    plan = make_plan(live(), wanted(data_plane=DataPlane.GOOGLE_KITEWAY), SHELL)
    assert [step.id for step in plan.steps] == [
        "record",
        "static-ip",
        "certificate",
        "backend-certificate",
        "backend-config",
        "kiteway",
        "route",
        "ingress",
        "endpoint-groups",
        "readiness",
        "ready",
        "dns",
    ]
    assert {s.effect.impact for s in plan.steps if s.id != "dns"} == {Impact.NONE}


def test_google_leads_to_kiteway_and_kiteway_to_milvus() -> None:
    """
    Google's Ingress names Kiteway's Service with HTTP/2, whose health is checked at Kiteway; Kiteway's own
    names Milvus's.
    """
    wish = wanted(data_plane=DataPlane.GOOGLE_KITEWAY)
    called = names(live(), release(), wish)
    front, behind = ingress(live(), wish, called), route(live(), wish, called)
    for item, cls, service_name, port in (
        (front, "gce", "my-release-kiteway", 443),
        (behind, "default-my-release-kiteway", "my-release-milvus", 19530),
    ):
        assert item["metadata"]["annotations"]["kubernetes.io/ingress.class"] == cls
        backend = item["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        assert backend == {"name": service_name, "port": {"number": port}}
    values = kiteway.values(wanted(data_plane=DataPlane.GOOGLE_KITEWAY, kiteway_values={"replicas": 3}), called)
    assert values["replicas"] == 3
    assert values["service"]["annotations"]["cloud.google.com/app-protocols"] == '{"https":"HTTP2"}'
    assert values["controller"]["namespaces"] == ["default"]
    check = backend_config(wish, called, "default")["spec"]["healthCheck"]
    assert (check["port"], check["requestPath"]) == (values["metrics"]["port"], "/ready")


def test_kiteways_names_fit_helm() -> None:
    """Helm allows 53 characters for a release; the chart names its objects after the release."""
    wish = wanted(data_plane=DataPlane.GOOGLE_KITEWAY, release="a" * 53)
    called = names(live(), dataclasses.replace(release(), name="a" * 53), wish)
    assert called.kiteway == "a" * 42 + "-kiteway"


@pytest.mark.parametrize("data_plane", [DataPlane.KITEWAY, DataPlane.GOOGLE_KITEWAY])
def test_kiteway_must_know_that_milvus_speaks_tls(data_plane: DataPlane) -> None:
    """If Milvus uses TLS and its Service does not say so, Kiteway would use plaintext: the plan has an error."""
    settings = {"extraConfigFiles": {"user.yaml": "common: {security: {tlsMode: 1}}"}}
    silent = make_plan(live(release=release(merged(VALUES, settings))), wanted(data_plane=data_plane), SHELL)
    assert [p.reason for p in silent.problems] == ["ProtocolNotSaid"]
    said = {**settings, "service": {"annotations": {"cloud.google.com/app-protocols": '{"milvus":"HTTP2"}'}}}
    plan = make_plan(live(release=release(merged(VALUES, said))), wanted(data_plane=data_plane), SHELL)
    assert plan.problems == ()


def test_certificate_and_ingress_are_written_together() -> None:
    """A managed certificate that waits for Active before its Ingress waits for ever (G4)."""
    wish = wanted(certificate=CertificateKind.GOOGLE_MANAGED)
    step = step_of(make_plan(live(), wish, SHELL), "ingress")
    command = step.commands[0]
    assert command.stdin is not None
    kinds = [item["kind"] for item in yaml.safe_load_all(command.stdin())]
    assert kinds == ["ManagedCertificate", "Ingress"]


def test_a_certificate_that_waits_says_what_for() -> None:
    """The plan says that a managed certificate stays Provisioning because DNS leads elsewhere."""
    wish = wanted(certificate=CertificateKind.GOOGLE_MANAGED)
    reading = after_everything(wish)
    item = {
        "kind": "ManagedCertificate",
        "metadata": {"name": "my-release-milvus-tls", "namespace": "default"},
        "status": {
            "certificateStatus": "Provisioning",
            "domainStatus": [{"domain": HOST, "status": "FailedNotVisible"}],
        },
    }
    objects = {**reading.objects, ("ManagedCertificate", "default", "my-release-milvus-tls"): item}
    reading = dataclasses.replace(reading, objects=objects, addresses=("203.0.113.9",))
    step = step_of(make_plan(reading, wish, SHELL), "ready")
    assert step.state is State.WAITING
    assert "FailedNotVisible" in step.sees
    assert "leads to 203.0.113.9 and must lead to 198.51.100.7 alone" in step.sees


def test_the_manifests_have_no_trap_of_the_guide() -> None:
    """Together with the Service they translate without any diagnostic of Kiteway (G5, G7, G8, G10)."""
    wish = wanted()
    reading = after_everything(wish)
    items = [dict(item) for item in reading.objects.values()]
    annotations = upgraded(release(), wish, names(live(), release(), wish))["service"]["annotations"]
    items.append(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "my-release-milvus", "namespace": "default", "annotations": annotations},
            "spec": {"type": "ClusterIP", "ports": [{"name": "milvus", "port": 19530}]},
        }
    )
    loaded = load_documents(yaml.safe_dump_all(items).encode(), "plan.yaml")
    assert [d for d in loaded.diagnostics if d.severity != "note"] == []
    config = backend_config(wish, names(live(), release(), wish), "default")["spec"]
    assert config["timeoutSec"] > 30
    assert config["connectionDraining"]["drainingTimeoutSec"] > 0
    assert config["healthCheck"]["timeoutSec"] <= config["healthCheck"]["checkIntervalSec"]
    front = reading.objects["Ingress", "default", "my-release-milvus"]
    assert front["metadata"]["annotations"]["kubernetes.io/ingress.allow-http"] == "false"
    assert front["metadata"]["annotations"]["kubernetes.io/ingress.global-static-ip-name"] == "my-release-milvus-ip"


def test_a_proxy_outlives_the_draining() -> None:
    """The preStop sleep is longer than the draining, and the grace period longer than both (G12)."""
    spec = graceful.patch(wanted(draining_timeout_sec=60), "proxy")["spec"]["template"]["spec"]
    sleep = int(spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert 60 < sleep < spec["terminationGracePeriodSeconds"]


def test_proxies_restart_after_the_endpoint_groups_are_there() -> None:
    """Google injects its readiness gate only into pods created after the Service has its endpoint groups (G12)."""
    order = list(states(live(), wanted()))
    assert order.index("ingress") < order.index("endpoint-groups") < order.index("readiness") < order.index("ready")
    assert states(live(), wanted())["endpoint-groups"] is State.WAITING
    assert states(live(front=with_groups(service())), wanted())["endpoint-groups"] is State.DONE


@pytest.mark.parametrize(
    ("gates", "restarted_for", "state"),
    [
        ((True, True), "", State.DONE),
        ((True, False), "", State.TODO),
        ((False, False), "", State.TODO),
        ((False, False), "k8s1-of-before", State.TODO),
        ((False, False), "k8s1-x", State.DONE),
    ],
)
def test_pods_without_googles_gate_are_started_again_once(
    gates: tuple[bool, ...], restarted_for: str, state: State
) -> None:
    """
    Pods from before the endpoint groups are replaced; if new ones get no gate either, the restart is not
    repeated.
    """
    reading = after_everything(wanted())
    workload = dict(reading.workload or {})
    if restarted_for:
        workload["spec"]["template"]["metadata"] = {"annotations": {graceful.RESTARTED_FOR: restarted_for}}
    reading = dataclasses.replace(reading, workload=workload, pods=tuple(proxy_pod(gate=gate) for gate in gates))
    step = step_of(make_plan(reading, wanted(), SHELL), "readiness")
    assert step.state is state
    assert f"{sum(gates)} of 2 pods have Google's readiness gate" in step.sees


def test_rules_of_other_hosts_stay() -> None:
    """Rules for another host in an Ingress of this name stay."""
    other = {"host": "other.example.com", "http": {"paths": []}}
    there = {
        "kind": "Ingress",
        "metadata": {"name": "my-release-milvus", "namespace": "default"},
        "spec": {"rules": [other], "tls": [{"secretName": "other"}]},
    }
    reading = live(objects={("Ingress", "default", "my-release-milvus"): there})
    made = ingress(reading, wanted(), names(reading, release(), wanted()))
    assert [rule["host"] for rule in made["spec"]["rules"]] == ["other.example.com", HOST]
    assert [entry["secretName"] for entry in made["spec"]["tls"]] == ["other", "my-release-milvus-tls"]


@pytest.mark.parametrize(
    ("status", "complete"),
    [
        ({}, True),
        ({"updatedReplicas": 1}, False),
        ({"replicas": 3}, False),
        ({"availableReplicas": 1}, False),
        ({"observedGeneration": 0}, False),
    ],
)
def test_a_rollout_is_complete_when_no_old_pod_is_left(status: dict[str, int], *, complete: bool) -> None:
    """All pods are new and available, none is old, and the newest change is observed."""
    workload = deployment()
    workload["status"].update(status)
    assert rolled_out(workload)[0] is complete


def test_without_gcloud_the_address_is_the_users_to_reserve() -> None:
    """The step is shown as manual."""
    plan = make_plan(live(static_address=StaticAddress(known=False)), wanted(), SHELL)
    step = step_of(plan, "static-ip")
    assert step.state is State.MANUAL
    assert str(step.commands[0]).startswith("gcloud --project my-project compute addresses create my-release-milvus-ip")


def test_the_default_chart_counts_as_cluster() -> None:
    """milvus-helm's default is a cluster, whose proxies are a Deployment of their own."""
    values = {key: value for key, value in DEFAULTS.items() if key != "cluster"}
    assert names(live(), release(effective=values), wanted()).workload == "my-release-milvus-proxy"
