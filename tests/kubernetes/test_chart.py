"""
The Helm chart on a real API server: its objects are accepted, and its rights are sufficient and not more than
needed.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from typer.main import get_command

from kiteway.cli import app
from kiteway.cli.token import TOKEN_VARIABLE
from tests.kubernetes.chart import CHART, helm, render
from tests.kubernetes.conftest import Bed
from tests.kubernetes.controller import NAMESPACE

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

RELEASE = "chart-kiteway"
NODES: dict[str, Any] = {
    "service": {"type": "ClusterIP"},
    "hostPorts": {"enabled": True},
    "controller": {"publishAddresses": ["192.0.2.1"], "shutdownDelaySeconds": 0},
}
EVERYTHING: dict[str, Any] = {
    "controller": {
        "namespaces": ["default", NAMESPACE],
        "ingressWithoutClass": False,
        "defaultClass": True,
        "readinessGate": True,
        "proxyProtocol": True,
        "sslPolicies": {"strict": "RESTRICTED"},
        "extraArgs": ["--trusted-hops=1"],
    },
    "service": {"annotations": {"a": "b"}, "loadBalancerClass": "x/y", "loadBalancerSourceRanges": ["192.0.2.0/24"]},
    "autoscaling": {"enabled": True},
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "alerts": {"enabled": True, "labels": {"release": "prometheus"}},
    },
    "networkPolicy": {
        "from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}],
        "dashboardFrom": [{"namespaceSelector": {"matchLabels": {"team": "operators"}}}],
    },
    "dashboard": {
        "enabled": True,
        "service": {
            "enabled": True,
            "tlsSecret": "page-tls",
            "clientCa": {"configMap": "page-readers"},
            "tokenSecret": "page",
            "hosts": ["page.example.com"],
        },
    },
    "otlp": {
        "endpoint": "https://collector.example.com:4318",
        "sampling": 0.5,
        "logs": True,
        "token": {"secret": "collector-token"},
        "ca": {"configMap": "collector-ca"},
    },
    "acme": {
        "acceptTerms": True,
        "contact": "ops@example.com",
        "directory": "https://ca.example.com/directory",
        "externalAccountBinding": {"keyId": "kid-1", "secret": "acme-eab"},
        "caBundle": {"configMap": "acme-ca"},
        "resolver": "10.96.0.10",
    },
    "serviceAccount": {"name": "somebody", "annotations": {"a": "b"}},
    "imagePullSecrets": [{"name": "registry"}],
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "vectors"},
    "nodeSelector": {"edge": "true"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "system-cluster-critical",
    "image": {"digest": f"sha256:{'0' * 64}"},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
    "topologySpreadConstraints": [
        {"topologyKey": "example.com/rack", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": []}
    ],
    "test": {"host": "milvus.example.com", "tokenSecret": "milvus-token", "caConfigMap": "milvus-ca"},
}
VALUES = {"defaults": {}, "nodes": NODES, "everything": EVERYTHING}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_helm_finds_nothing_to_complain_about(values: dict[str, Any]) -> None:
    """``helm lint --strict`` passes with the defaults and with everything turned on."""
    helm("lint", "--strict", CHART, "-f", "-", stdin=yaml.safe_dump(values))


def test_every_value_is_in_the_schema() -> None:
    """Values and schema have the same names at every depth, so that a misspelt name is refused."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    found = yaml.safe_load((CHART / "values.yaml").read_text())

    def compare(value: dict[str, Any], described: dict[str, Any], path: str) -> None:
        assert described.get("additionalProperties") is False, path
        assert set(value) == set(described["properties"]) - {"global"}, path
        for name, each in value.items():
            if isinstance(each, dict) and "properties" in described["properties"][name]:
                compare(each, described["properties"][name], f"{path}.{name}")

    compare(found, schema, "")


def test_a_value_that_makes_no_sense_is_refused() -> None:
    """The schema's error names the value and what is allowed, before any object is installed."""
    with pytest.raises(AssertionError, match=r"/replicas.*minimum"):
        render(RELEASE, NAMESPACE, {"replicas": 0})


@pytest.mark.parametrize(
    "repository",
    ["kiteway", "milvusdb/kiteway", "registry.example.com:5000/team/kite_way", "[2001:db8::1]:5000/kiteway"],
)
def test_a_repository_may_have_a_registry_and_a_port(repository: str) -> None:
    """What a container runtime can pull is accepted."""
    render(RELEASE, NAMESPACE, {"image": {"repository": repository}, "test": {"host": "Milvus.example.com"}})


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("image.repository", ""),
        ("image.repository", "kiteway:0.3.0"),
        ("image.repository", f"kiteway@sha256:{'0' * 64}"),
        ("image.repository", "https://registry.example.com/kiteway"),
        ("image.repository", "registry.example.com/Kiteway"),
        ("test.host", "https://milvus.example.com"),
        ("test.host", "milvus.example.com:443"),
        ("test.host", "*.example.com"),
    ],
)
def test_a_repository_and_a_host_are_nothing_more(name: str, wrong: str) -> None:
    """A tag, a digest, a scheme, a port or a wildcard is refused: the Pod or `helm test` would fail with it."""
    part, field = name.split(".")
    with pytest.raises(AssertionError, match=f"'/{part}/{field}'.*does not match pattern"):
        render(RELEASE, NAMESPACE, {part: {field: wrong}})


def test_terms_without_a_contact_are_an_error() -> None:
    """Otherwise certificates would wait for ever, and no user would be told."""
    with pytest.raises(AssertionError, match=r"acme\.contact is empty.*Set acme\.contact"):
        render(RELEASE, NAMESPACE, {"acme": {"acceptTerms": True}})


def test_the_web_page_is_on_loopback_and_in_the_cluster_only_when_it_is_protected() -> None:
    """It needs a token or client certificates, and TLS; its Service is closed until the NetworkPolicy names who may reach it."""
    assert "dashboard" not in helm("template", RELEASE, CHART)

    inside = helm("template", RELEASE, CHART, "--set", "dashboard.enabled=true")
    assert "--dashboard=127.0.0.1:9090" in inside
    assert f"{RELEASE}-dashboard" not in inside

    def page(**service: Any) -> dict[str, Any]:
        return {"dashboard": {"enabled": True, "service": {"enabled": True, **service}}}

    with pytest.raises(AssertionError, match=r"dashboard\.enabled is false.*Set dashboard\.enabled"):
        render(
            RELEASE, NAMESPACE, {"dashboard": {"service": {"enabled": True, "tokenSecret": "page", "behindTLS": True}}}
        )
    readers = {"configMap": "readers"}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, r"the page needs a token, in the Secret dashboard\.service\.tokenSecret"),
        ({"tlsSecret": "tls"}, "the page needs a token"),
        ({"tokenSecret": "page"}, r"the page needs a certificate, in the Secret dashboard\.service\.tlsSecret"),
        ({"clientCa": readers}, "client certificates need TLS"),
        ({"clientCa": readers, "behindTLS": True}, "client certificates need TLS"),
    ]
    for service, words in wrong:
        with pytest.raises(AssertionError, match=words):
            render(RELEASE, NAMESPACE, page(**service))
    render(RELEASE, NAMESPACE, page(tokenSecret="page", behindTLS=True))
    render(RELEASE, NAMESPACE, page(tlsSecret="tls", clientCa=readers))

    given = page(tokenSecret="page", tlsSecret="tls")
    closed = {(o["kind"], o["metadata"]["name"]): o for o in render(RELEASE, NAMESPACE, given)}
    assert ("Service", f"{RELEASE}-dashboard") in closed
    ports = [port["port"] for rule in closed["NetworkPolicy", RELEASE]["spec"]["ingress"] for port in rule["ports"]]
    assert "dashboard" not in ports


def test_image_environment_and_spread_are_those_given() -> None:
    """A digest replaces the tag; constraints get the Pods' selector, and keep what they say themselves."""
    [plain], [given] = (
        [o for o in render(RELEASE, NAMESPACE, v) if o["kind"] == "Deployment"] for v in ({}, EVERYTHING)
    )
    pods = [deployment["spec"]["template"]["spec"] for deployment in (plain, given)]
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert [pod["containers"][0]["image"] for pod in pods] == [f"kiteway:{version}", f"kiteway@sha256:{'0' * 64}"]
    assert [env["name"] for env in pods[1]["containers"][0]["env"]] == ["POD_NAMESPACE", "HTTPS_PROXY"]
    for deployment, pod, keys in zip((plain, given), pods, (["pod-template-hash"], []), strict=True):
        for constraint in pod["topologySpreadConstraints"]:
            assert constraint["labelSelector"] == deployment["spec"]["selector"]
            assert constraint["matchLabelKeys"] == keys
    assert [c["topologyKey"] for c in pods[0]["topologySpreadConstraints"]] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]
    assert [c["maxSkew"] for c in pods[1]["topologySpreadConstraints"]] == [2]


def test_the_test_of_the_release_is_kiteway_verify() -> None:
    """`helm test` runs a command that exists, through the Service, and no token is an argument; without a host there is none."""
    objects = render(RELEASE, NAMESPACE, EVERYTHING)
    [pod] = [o for o in objects if o["kind"] == "Pod"]
    services = {o["metadata"]["name"] for o in objects if o["kind"] == "Service"}
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    [container] = pod["spec"]["containers"]
    command, address, *options = container["args"]
    assert command == "verify"
    assert address in {f"{name}.{NAMESPACE}.svc:443" for name in services}
    known = {name for p in get_command(app).commands["verify"].params for name in p.opts}  # type: ignore[attr-defined]
    assert {option.partition("=")[0] for option in options} == {"--server-name", "--ca"} <= known
    [variable] = container["env"]
    assert variable["name"] == TOKEN_VARIABLE
    assert variable["valueFrom"]["secretKeyRef"] == {"name": "milvus-token", "key": "token"}
    assert not any(o["kind"] == "Pod" for o in render(RELEASE, NAMESPACE, {}))


def test_helm_follows_no_link() -> None:
    """Helm prints a line for each link in a chart."""
    assert [path for path in CHART.rglob("*") if path.is_symlink()] == []


@pytest.mark.parametrize("name", VALUES)
def test_the_api_server_takes_every_object(bed: Bed, name: str) -> None:
    """
    A server-side dry run of everything the chart makes has no error and no warning, in a namespace with the Pod Security
    Standard that its Pods keep: restricted, but for ports of the nodes.
    """
    cluster = bed.cluster
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    level = "privileged" if name == "nodes" else "restricted"
    namespace["metadata"]["labels"] = {"pod-security.kubernetes.io/warn": level}  # type: ignore[index]
    cluster.apply(namespace)
    cluster.add_kind("monitoring.coreos.com", "v1", "servicemonitors", "ServiceMonitor")
    cluster.add_kind("monitoring.coreos.com", "v1", "prometheusrules", "PrometheusRule")

    objects = render(RELEASE, NAMESPACE, VALUES[name])
    dry_run = ("apply", "--dry-run=server", "--warnings-as-errors", "-f", "-")
    cluster.kubectl(*dry_run, stdin=yaml.safe_dump_all(objects))


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_the_container_may_do_nothing_it_need_not(values: dict[str, Any]) -> None:
    """
    The container is not root, writes to memory only, gains no privilege and has no capability, whatever its
    ports.
    """
    deployment = next(o for o in render(RELEASE, NAMESPACE, values) if o["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    security = container["securityContext"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "hostNetwork" not in pod
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert all(port["containerPort"] > 1023 for port in container["ports"])
    assert all(v["emptyDir"]["medium"] == "Memory" for v in pod["volumes"] if "emptyDir" in v)
    assert all(m["readOnly"] for m in container["volumeMounts"] if m["mountPath"].startswith("/etc/"))


def test_only_named_peers_scrape() -> None:
    """
    The port of metrics and probes is closed to Pods unless values name them; a ServiceMonitor without such a
    value is refused.
    """

    def ports(values: dict[str, Any]) -> dict[str, Any]:
        policy = next(o for o in render("release", NAMESPACE, values) if o["kind"] == "NetworkPolicy")
        return {port["port"]: rule.get("from") for rule in policy["spec"]["ingress"] for port in rule["ports"]}

    assert ports({}) == {"https": None, "http": None}
    named = [{"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}]
    assert ports({"networkPolicy": {"metricsFrom": named}})["metrics"] == named
    with pytest.raises(AssertionError, match=r"name Prometheus in networkPolicy\.metricsFrom"):
        render("release", NAMESPACE, {"metrics": {"serviceMonitor": {"enabled": True}}})


def test_a_pod_that_ends_serves_until_the_balancers_before_it_know() -> None:
    """
    The Pod waits before it drains, and its grace period covers both; with ports of the node no new Pod starts
    beside an old one.
    """
    deployments = {
        name: next(o for o in render(RELEASE, NAMESPACE, values) if o["kind"] == "Deployment")["spec"]
        for name, values in VALUES.items()
    }
    pod = deployments["defaults"]["template"]["spec"]

    assert pod["containers"][0]["lifecycle"]["preStop"] == {"exec": {"command": ["sleep", "30"]}}
    assert pod["terminationGracePeriodSeconds"] > 30 + 60
    assert deployments["defaults"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert "lifecycle" not in deployments["nodes"]["template"]["spec"]["containers"][0]
    assert deployments["nodes"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_rights_for_acme_only_where_it_is_on() -> None:
    """Only with the terms accepted has it the right to write Secrets, and only in its own namespace."""

    def writes_secrets(values: dict[str, Any]) -> list[tuple[str, str]]:
        return [
            (role["kind"], role["metadata"]["namespace"])
            for role in render(RELEASE, NAMESPACE, values)
            for rule in role.get("rules", ())
            if "secrets" in rule["resources"] and not {"list", "watch"} >= set(rule["verbs"])
        ]

    for values in ({}, {"acme": {"contact": "ops@example.com"}}):
        assert writes_secrets(values) == []
    assert writes_secrets(EVERYTHING) == [("Role", NAMESPACE)]


def test_the_key_of_a_binding_is_mounted_and_never_an_argument() -> None:
    """An external account binding and the roots of a CA of one's own are files."""
    pod = next(o for o in render(RELEASE, NAMESPACE, EVERYTHING) if o["kind"] == "Deployment")["spec"]["template"][
        "spec"
    ]
    arguments = pod["containers"][0]["args"]

    assert "--acme-eab-key-file=/etc/kiteway/acme-eab/hmac" in arguments
    assert "--acme-ca=/etc/kiteway/acme-ca/ca.crt" in arguments
    mounted = {m["name"] for m in pod["containers"][0]["volumeMounts"]}
    assert {"acme-eab", "acme-ca"} <= mounted == {v["name"] for v in pod["volumes"]}


def test_the_access_log_is_off_by_default_and_on_disk_when_it_is_on() -> None:
    """Only with a log there is a volume for it, which takes no memory; calls cannot be logged without a log."""

    def pod(values: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
        rendered = next(o for o in render(RELEASE, NAMESPACE, values) if o["kind"] == "Deployment")
        spec = rendered["spec"]["template"]["spec"]
        arguments = [each for each in spec["containers"][0]["args"] if "log" in each]
        volumes = {volume["name"]: volume.get("emptyDir") for volume in spec["volumes"]}
        mounts = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
        return arguments, {mounts[name]: where for name, where in volumes.items()}

    arguments, volumes = pod({})
    assert arguments == ["--log-users=names"]
    assert "/var/lib/kiteway/logs" not in volumes
    arguments, volumes = pod({"accessLog": {"enabled": True, "calls": True, "users": "hashed"}})
    assert arguments == ["--log-users=hashed", "--access-log", "--log-calls"]
    assert volumes["/var/lib/kiteway/logs"] == {"sizeLimit": "128Mi"}
    with pytest.raises(AssertionError, match="accessLog/calls"):
        render(RELEASE, NAMESPACE, {"accessLog": {"calls": True}})


def test_releases_of_one_name_get_along() -> None:
    """Releases for some namespaces only share no object with one of the same name in another namespace."""

    def objects(namespace: str) -> set[tuple[str, str, str]]:
        values = {"controller": {"namespaces": [namespace, "default"], "ingressClass": f"{namespace}-{RELEASE}"}}
        return {
            (o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"])
            for o in render(RELEASE, namespace, values)
            if o["kind"] in {"ClusterRole", "ClusterRoleBinding", "IngressClass"} or "namespace" in o["metadata"]
        }

    assert {kind for kind, _, _ in objects("dev")} >= {"ClusterRole", "ClusterRoleBinding", "IngressClass", "Role"}
    assert not objects("dev") & objects("prod")


@pytest.mark.parametrize("values", [(), ("dashboard.enabled=true",), ("test.host=a.example.org",)])
def test_the_notes_of_an_installation_separate_their_commands(values: tuple[str, ...]) -> None:
    """The command that asks for the state stands on a line of its own, whatever is said after it."""
    options = [option for value in values for option in ("--set", value)]
    printed = helm("install", RELEASE, CHART, "--dry-run=client", "--set", "image.repository=kiteway", *options)
    notes = printed.partition("NOTES:")[2]
    assert "-- kiteway status --data-dir /var/lib/kiteway\n\n" in notes
    assert "\n\nHelm installs only the CRDs" in notes
    assert "\n\n\n" not in notes


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "work unchanged, but not on GKE: Ingresses without a class are Google's there; Managed"),
        ("true", "The guide's manifests work unchanged; Managed"),
        ("false", "Those without a class are not served; Managed"),
    ],
)
def test_the_notes_say_who_serves_an_ingress_without_a_class(value: str | None, words: str) -> None:
    """The guide's Ingress has no class; on GKE Google would make a balancer of its own for it."""
    options = [] if value is None else ["--set", f"controller.ingressWithoutClass={value}"]
    printed = helm("install", RELEASE, CHART, "--dry-run=client", "--set", "image.repository=kiteway", *options)
    assert words in " ".join(printed.partition("NOTES:")[2].split())
