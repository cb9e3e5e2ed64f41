"""
For each rule about a cluster: an edit for which it reports a problem, the text, and a similar edit for which
it does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from kiteway.doctor.cluster.facts import NEG_GATE, Unread
from kiteway.probe import ProbeFailure, Reason
from kiteway.probe.grpc import GrpcResult
from kiteway.probe.milvus import MilvusResult
from kiteway.probe.tcp import TcpResult
from tests.unit.doctor_cluster import (
    ADDRESS,
    BACKENDS,
    CLOSED,
    LOST,
    Cluster,
    ago,
    dns,
    front_seen,
    pod_seen,
)
from tests.unit.doctor_manifests import APP_PROTOCOLS, HOST, INGRESS_CLASS, NEG

Edit = Callable[[Cluster], object]

NEW = ago(minutes=1)
PRE_SHARED = "ingress.gcp.kubernetes.io/pre-shared-cert"
STATIC_IP_EVENT = "Error syncing to GCP: the given static IP name milvus doesn't translate to an existing static IP."
FIREWALL = (
    "Firewall change required by security admin: `gcloud compute firewall-rules create k8s-fw-l7--a --network n "
    "--source-ranges 130.211.0.0/22,35.191.0.0/16 --allow tcp:19530,tcp:9091 --project host`"
)
NOT_GRPC = MilvusResult(GrpcResult(failure=ProbeFailure(Reason.NOT_GRPC, "the answer is not gRPC: HTTP 502")))
LOST_TCP = TcpResult(None, (), LOST)
SHUT = pod_seen(tcp=CLOSED, tls=None, connect=None, version=None, serving=None)


class Case(NamedTuple):
    """A rule, an edit that makes it fire with these words, and one that nearly does."""

    rule: str
    fires: Edit
    words: str
    near_miss: Edit


def _both(*edits: Edit) -> Edit:
    def edit(c: Cluster) -> None:
        for each in edits:
            each(c)

    return edit


def _front(**changes: Any) -> Edit:
    return lambda c: c.fronts.append(front_seen(**changes))


def _back(**changes: Any) -> Edit:
    return lambda c: c.backs.append(pod_seen(**changes))


def _manage(status: str, *domains: tuple[str, str], created: str = "") -> Edit:
    return lambda c: c.manage(status, *domains, created=created)


def _event(reason: str, message: str, **fields: str) -> Edit:
    return lambda c: c.event(reason, message, **fields)


def _no_address(**age: float) -> Edit:
    def edit(c: Cluster) -> None:
        c.ingress["status"] = {}
        c.ingress["metadata"]["creationTimestamp"] = ago(**age)

    return edit


def _every_pod(change: Callable[[dict[str, Any]], object]) -> Edit:
    return lambda c: [change(pod) for pod in c.pods]


def _without_gate(created: str) -> Edit:
    def edit(c: Cluster) -> None:
        c.pods[0]["spec"]["readinessGates"] = []
        c.pods[0]["metadata"]["creationTimestamp"] = created

    return edit


def _gate(created: str, **condition: str) -> Edit:
    def edit(c: Cluster) -> None:
        c.pods[0]["status"]["conditions"][1] = {"type": NEG_GATE, **condition}
        c.pods[0]["metadata"]["creationTimestamp"] = created

    return edit


def _one_pod(c: Cluster) -> None:
    del c.pods[1:]


def _kiteways(c: Cluster) -> None:
    c.annotations[INGRESS_CLASS] = "kiteway"
    c.classes = {"kiteway": "kiteway.io/ingress-controller"}


def _class(annotation: str | None, named: str | None = None, *, gke: bool = True, **classes: str) -> Edit:
    def edit(c: Cluster) -> None:
        del c.annotations[INGRESS_CLASS]
        _no_address(days=1)(c)
        if annotation:
            c.annotations[INGRESS_CLASS] = annotation
        if named:
            c.ingress["spec"]["ingressClassName"] = named
        c.gke, c.classes = gke, classes

    return edit


def _another_slice(**changes: Any) -> Edit:
    return lambda c: c.slice.update(changes)


def _named_by(annotation: str, name: str) -> Edit:
    return lambda c: c.annotations.update({annotation: name})


def _unhealthy(*edits: Edit) -> Edit:
    def edit(c: Cluster) -> None:
        c.annotations[BACKENDS] = '{"k8s1-a": "UNHEALTHY"}'
        for each in edits:
            each(c)

    return edit


def _budget(**status: int) -> Edit:
    return lambda c: c.budget["status"].update(status)


def _values(change: Callable[[dict[str, Any]], object]) -> Edit:
    return lambda c: change(c.values["service"]["annotations"])


def _waiting(c: Cluster) -> None:
    for endpoint in c.slice["endpoints"]:
        endpoint["conditions"] = {"ready": False, "serving": False}
    for pod in c.pods:
        pod["status"]["conditions"][0]["status"] = "False"


def _ready_one(c: Cluster) -> None:
    c.slice["endpoints"][0]["conditions"] = {"ready": False, "serving": False}


def _unattached(c: Cluster) -> None:
    c.manage("Provisioning", created=ago(hours=2))
    del c.annotations["networking.gke.io/managed-certificates"]


CASES = [
    Case(
        "CLUSTER_READ",
        lambda c: c.unread.append(Unread("Secret", "tls", 'secrets "tls" is forbidden')),
        'Secret tls may not be read: secrets "tls" is forbidden',
        lambda c: c.backs.append(pod_seen()),
    ),
    Case(
        "HELM_RELEASE",
        lambda c: setattr(c, "status", "pending-upgrade"),
        "revision 3 is pending-upgrade",
        lambda c: c.values.clear(),
    ),
    Case(
        "HELM_VALUES_DRIFT",
        _values(lambda values: values.pop(NEG)),
        "cloud.google.com/neg: on the live Service, but not in the values",
        lambda c: c.service_annotations.update({"cloud.google.com/neg-status": "{}", "owner": "me"}),
    ),
    Case(
        "READINESS_GATE",
        _without_gate(ago(days=2.5)),
        "1 of 2 Pods lack Google's readiness gate (milvus-1), as they are older than the NEG annotation",
        _both(_without_gate(ago(days=2.5)), _kiteways),
    ),
    Case(
        "PRESTOP",
        _every_pod(lambda pod: pod["spec"]["containers"][0].pop("lifecycle")),
        "2 of 2 Pods have no preStop",
        _every_pod(lambda pod: pod["spec"].update(terminationGracePeriodSeconds=60)),
    ),
    Case("PDB", _one_pod, "milvus-1 is its only Pod", _budget(disruptionsAllowed=0, expectedPods=0)),
    Case("NO_ENDPOINTS", _waiting, "no endpoint of the port 19530 is ready", _ready_one),
    Case(
        "BACKENDS_UNHEALTHY",
        _unhealthy(),
        "UNHEALTHY: k8s1-a: nothing in the cluster says why.",
        lambda c: c.annotations.update({BACKENDS: '{"k8s1-a": "Unknown"}'}),
    ),
    Case(
        "INGRESS_ADDRESS",
        _both(_no_address(hours=3), _event("Translate", "Translation failed: no")),
        "it has no address after 3 hours; the last Event is Translate: Translation failed: no.",
        _no_address(minutes=9),
    ),
    Case(
        "INGRESS_CLASS_SERVED",
        _class("nginx"),
        'no controller is known for its class "nginx", so no controller serves it',
        _class("nginx", nginx="k8s.io/ingress-nginx"),
    ),
    Case(
        "GKE_SYNC",
        lambda c: c.event("Sync", "Error syncing to GCP: quota exceeded."),
        "Sync, 1 minute ago: Error syncing to GCP: quota exceeded.",
        lambda c: c.event("Sync", "Error syncing to GCP: quota exceeded.", lastTimestamp=ago(minutes=21)),
    ),
    Case(
        "FIREWALL_XPN",
        lambda c: c.event("XPN", FIREWALL, type="Normal"),
        "the network is a Shared VPC",
        lambda c: c.event("Sync", "Scheduled for sync", type="Normal"),
    ),
    Case(
        "STATIC_IP_FOUND",
        lambda c: c.event("Sync", STATIC_IP_EVENT),
        "Google knows no global address milvus; a regional one of this name does not count",
        lambda c: c.event("Sync", STATIC_IP_EVENT.replace(" milvus ", " milvus-old ")),
    ),
    Case(
        "PRE_SHARED_CERT",
        _both(_manage("Active"), _named_by(PRE_SHARED, "mcrt-managed,mcrt-gone")),
        "names mcrt-gone, which no ManagedCertificate of the namespace has",
        _both(_manage("Active"), _named_by(PRE_SHARED, "mcrt-managed, of-my-own")),
    ),
    Case(
        "MANAGED_CERT_STUCK",
        _both(
            _manage("Provisioning", (HOST, "FailedNotVisible"), created=ago(minutes=20)),
            lambda c: c.dns.update({HOST: dns("198.51.100.9")}),
        ),
        f"{HOST} does not lead to the load balancer (FailedNotVisible); {HOST} leads to 198.51.100.9 instead of {ADDRESS}",
        lambda c: c.manage("Provisioning", (HOST, "Provisioning"), created=ago(minutes=59)),
    ),
    Case(
        "DNS_ADDRESS",
        lambda c: c.dns.update({HOST: dns(ADDRESS, "2001:db8::7")}),
        f"leads to {ADDRESS}, but also has an AAAA record for 2001:db8::7",
        lambda c: c.dns.update({HOST: dns(failure=ProbeFailure(Reason.RESOLVER_FAILED, "no answer"))}),
    ),
    Case(
        "GRPC_PATH",
        _both(_front(connect=NOT_GRPC), _back()),
        "Milvus answers at 1 of 1 Pods, but not through the balancer",
        _both(_front(connect=NOT_GRPC), _back(tcp=LOST_TCP)),
    ),
]

# Further ways in which a rule fires.
MORE: list[tuple[str, Edit, str]] = [
    ("CLUSTER_READ", lambda c: c.backs.append(pod_seen(tcp=LOST_TCP)), "no Pod can be reached from here"),
    ("CLUSTER_READ", lambda c: c.unread.append(Unread("Event", "", "forbidden")), "Event may not be read"),
    (
        "HELM_RELEASE",
        lambda c: c.service.update(
            metadata={**c.service["metadata"], "labels": {"app.kubernetes.io/instance": "other"}}
        ),
        "no Service in namespace default belongs to it; the releases there are other",
    ),
    ("HELM_RELEASE", lambda c: setattr(c, "helm", False), "Helm knows no such release"),
    ("HELM_VALUES_DRIFT", lambda c: c.service_annotations.pop(NEG), "differ, and the next upgrade restores them"),
    (
        "HELM_VALUES_DRIFT",
        _values(lambda values: values.update({APP_PROTOCOLS: "{}"})),
        "cloud.google.com/app-protocols: the values of release my-release differ",
    ),
    ("READINESS_GATE", _without_gate(ago(hours=1)), "though NEG is on"),
    (
        "READINESS_GATE",
        _gate(ago(minutes=11), status="False"),
        "has not found it healthy after 11 minutes: nothing yet",
    ),
    ("READINESS_GATE", _gate(ago(days=1), status="True", reason="LoadBalancerNegTimeout"), "Google gave up waiting"),
    (
        "PRESTOP",
        _every_pod(lambda pod: pod["spec"].update(terminationGracePeriodSeconds=59)),
        "terminationGracePeriodSeconds is less than the draining of 60 s",
    ),
    (
        "PDB",
        lambda c: c.budget["spec"]["selector"].update(matchLabels={"a": "b"}),
        "no PodDisruptionBudget covers its 2",
    ),
    ("PDB", _budget(disruptionsAllowed=0), "it allows no eviction though all 2 Pods are ready"),
    ("NO_ENDPOINTS", lambda c: c.slice["metadata"].update(labels={}), "no EndpointSlice belongs to the Service"),
    ("NO_ENDPOINTS", _waiting, "It selects 2 Pods, 0 of them ready."),
    ("INGRESS_ADDRESS", _no_address(days=9), "it has no address after 9 days."),
    ("INGRESS_CLASS_SERVED", _class("gce", gke=False), "it is for Google's controller, and this is no GKE cluster"),
    ("INGRESS_CLASS_SERVED", _class(None, gke=False), "it names no class, and this is no GKE cluster"),
    ("INGRESS_CLASS_SERVED", _class(None, "haproxy", kiteway="kiteway.io/x"), 'there is no IngressClass "haproxy"'),
    ("FIREWALL_XPN", _event("Sync", FIREWALL, type="Normal"), "the network is a Shared VPC"),
    ("FIREWALL_XPN", _event("XPN", "a rule is missing"), "the network is a Shared VPC"),
    ("MANAGED_CERT_STUCK", _unattached, "it is Provisioning after 2 hours: no Ingress names it"),
    (
        "MANAGED_CERT_STUCK",
        _both(_manage("ProvisioningFailed", created=ago(minutes=5)), _no_address(minutes=5)),
        "Ingress default/milvus has no address",
    ),
    (
        "MANAGED_CERT_STUCK",
        _both(
            _manage("Provisioning", created=ago(hours=2)),
            _event("TooManyCertificates", "quota of 10", kind="ManagedCertificate", name="managed"),
        ),
        "TooManyCertificates: quota of 10.",
    ),
    ("MANAGED_CERT_STUCK", lambda c: c.manage("Active", (HOST, "FailedCaaForbidden")), "CAA records that forbid"),
    (
        "DNS_ADDRESS",
        lambda c: c.dns.update({HOST: dns(failure=ProbeFailure(Reason.NAME_NOT_FOUND, "none"))}),
        "has no DNS record; it should lead to",
    ),
    (
        "GRPC_PATH",
        _both(_front(connect=NOT_GRPC), lambda c: c.backs.append(SHUT)),
        "neither through the balancer nor at any of 1 Pods",
    ),
    ("BACKENDS_UNHEALTHY", _unhealthy(lambda c: c.config["spec"].pop("healthCheck")), "no BackendConfig has a health"),
    ("BACKENDS_UNHEALTHY", _unhealthy(_waiting), "no endpoint is ready (NO_ENDPOINTS); 2 of 2 Pods are not ready"),
    ("BACKENDS_UNHEALTHY", _unhealthy(lambda c: c.event("XPN", FIREWALL)), "a firewall rule is missing (FIREWALL_XPN)"),
    (
        "BACKENDS_UNHEALTHY",
        _unhealthy(lambda c: c.values.update({"extraConfigFiles": {"user.yaml": ""}})),
        "Milvus has no TLS, and the balancer uses TLS",
    ),
    (
        "BACKENDS_UNHEALTHY",
        _unhealthy(lambda c: c.service_annotations.pop(APP_PROTOCOLS)),
        "Milvus has TLS, and the balancer uses plaintext",
    ),
    (
        "BACKENDS_UNHEALTHY",
        _unhealthy(lambda c: c.backs.append(SHUT)),
        "milvus-1 is healthy on 9091 and does not serve",
    ),
]

# Further near misses.
SILENT: list[tuple[str, Edit]] = [
    ("GKE_SYNC", _event("Sync", STATIC_IP_EVENT)),
    ("GKE_SYNC", _event("XPN", FIREWALL)),
    ("HELM_VALUES_DRIFT", _both(lambda c: c.service_annotations.pop(NEG), _values(lambda values: values.pop(NEG)))),
    (
        "READINESS_GATE",
        _both(_without_gate(ago(days=2.5)), lambda c: c.pods[0]["metadata"].update(deletionTimestamp=NEW)),
    ),
    ("PRESTOP", lambda c: c.pods.append({**c.pods[0], "spec": {"containers": []}, "status": {"phase": "Failed"}})),
]
