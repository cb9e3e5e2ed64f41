"""A live cluster without a mistake, as the API server shows it; a test edits it."""

from __future__ import annotations

import base64
import copy
import dataclasses
import datetime as dt
import gzip
import json
from typing import Any

import yaml

from kiteway.diagnostics import ObjectRef
from kiteway.doctor.address import AddressFacts, AddressTarget
from kiteway.doctor.cluster.assemble import assemble
from kiteway.doctor.cluster.facts import NEG_GATE, ClusterFacts, Unread
from kiteway.doctor.cluster.snapshot import Snapshot
from kiteway.probe import Endpoint, ProbeFailure, Reason
from kiteway.probe.dns import DnsResult
from kiteway.probe.grpc import GrpcResult
from kiteway.probe.http import HttpResult
from kiteway.probe.milvus import MilvusResult
from kiteway.probe.tcp import TcpResult
from kiteway.probe.tls import TlsResult
from tests.unit.doctor_manifests import APP_PROTOCOLS, BACKEND_CONFIG, HOST, INGRESS_CLASS, NEG, NOW, Files

ADDRESS = "203.0.113.7"
LABELS = {"app.kubernetes.io/instance": "my-release", "app.kubernetes.io/name": "milvus", "component": "proxy"}
BACKENDS = "ingress.kubernetes.io/backends"
OK = GrpcResult(status=0, http_status=200)
VERSION = MilvusResult(OK, version="v2.6.3")
REFUSED = ProbeFailure(Reason.CONNECTION_REFUSED, "10.244.0.11:19530 refused the TCP connection")
LOST = ProbeFailure(Reason.CONNECT_TIMEOUT, "10.244.0.11:19530 does not answer")
CLOSED = TcpResult(None, (), REFUSED)
OPEN = TcpResult("10.244.0.11:19530", ())


def ago(**since: float) -> str:
    """Return a time before `NOW` as the API server writes it."""
    return (NOW - dt.timedelta(**since)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _put(item: dict[str, Any], name: str | None = None, **metadata: Any) -> dict[str, Any]:
    made = copy.deepcopy(item)
    made["metadata"] |= {"namespace": "default", "creationTimestamp": ago(days=3), **metadata}
    made["metadata"]["name"] = name or made["metadata"]["name"]
    return made


class Cluster:
    """The guide's release behind Google's balancer, as it should be; change it and ask for `facts`."""

    def __init__(self) -> None:
        files = Files()
        self.ingress = _put(files.ingress)
        self.annotations: dict[str, Any] = self.ingress["metadata"]["annotations"]
        self.annotations |= {INGRESS_CLASS: "gce", BACKENDS: '{"k8s1-a-default-milvus-19530-b": "HEALTHY"}'}
        self.ingress["status"] = {"loadBalancer": {"ingress": [{"ip": ADDRESS}]}}
        self.service = _put(files.service, labels=LABELS)
        self.service_annotations: dict[str, Any] = self.service["metadata"]["annotations"]
        self.service["metadata"]["managedFields"] = [
            {"manager": "helm", "time": ago(days=2), "fieldsV1": {"f:metadata": {"f:annotations": {f"f:{NEG}": {}}}}}
        ]
        self.service["spec"]["selector"] = LABELS
        self.config = _put(files.config)
        self.secret = _put(files.secret)
        self.pods = [self._pod(f"milvus-{number}") for number in (1, 2)]
        addresses = {"addressType": "IPv4", "ports": [{"name": "milvus", "port": 19530, "protocol": "TCP"}]}
        self.slice: dict[str, Any] = {
            "metadata": {"name": "milvus-a", "labels": {"kubernetes.io/service-name": "milvus"}},
            "endpoints": [self._endpoint(number) for number in (1, 2)],
            **addresses,
        }
        self.slice["metadata"] |= {"namespace": "default"}
        self.budget: dict[str, Any] = {
            "metadata": {"name": "milvus", "namespace": "default"},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": dict(LABELS)}},
            "status": {"disruptionsAllowed": 1, "expectedPods": 2},
        }
        self.events: list[dict[str, Any]] = []
        self.managed: list[dict[str, Any]] = []
        self.more: dict[str, list[dict[str, Any]]] = {}
        self.values: dict[str, Any] = {
            "service": {
                "type": "ClusterIP",
                "annotations": {key: self.service_annotations[key] for key in (APP_PROTOCOLS, BACKEND_CONFIG, NEG)},
            },
            "proxy": {"replicas": 2, "volumeMounts": [{"name": "tls", "mountPath": "/milvus/tls"}]},
            "extraConfigFiles": {"user.yaml": yaml.safe_dump(files.user)},
        }
        self.values["service"]["annotations"]["kiteway.io/rest-port"] = "8080"
        self.status = "deployed"
        self.helm: bool = True
        self.classes: dict[str, str] = {}
        self.gke = True
        self.unread: list[Unread] = []
        self.dns: dict[str, DnsResult] = {HOST: dns(ADDRESS)}
        self.fronts: list[AddressFacts] = []
        self.backs: list[AddressFacts] = []

    def _pod(self, name: str) -> dict[str, Any]:
        conditions = [{"type": "Ready", "status": "True"}, {"type": NEG_GATE, "status": "True", "reason": "Ready"}]
        container = {"name": "proxy", "lifecycle": {"preStop": {"exec": {"command": ["sleep", "65"]}}}}
        return {
            "metadata": {
                "name": name,
                "namespace": "default",
                "labels": dict(LABELS),
                "creationTimestamp": ago(days=1),
            },
            "spec": {
                "readinessGates": [{"conditionType": NEG_GATE}],
                "terminationGracePeriodSeconds": 100,
                "containers": [container],
            },
            "status": {"phase": "Running", "conditions": conditions},
        }

    def _endpoint(self, number: int) -> dict[str, Any]:
        return {
            "addresses": [f"10.244.0.{10 + number}"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "targetRef": {"kind": "Pod", "namespace": "default", "name": f"milvus-{number}"},
        }

    def event(self, reason: str, message: str, *, kind: str = "Ingress", name: str = "milvus", **fields: Any) -> None:
        """Add an Event of Google's, a Warning a minute ago unless ``fields`` say otherwise."""
        about = {"kind": kind, "namespace": "default", "name": name}
        event = {"type": "Warning", "reason": reason, "message": message, "lastTimestamp": ago(minutes=1)}
        self.events.append({"metadata": {}, "involvedObject": about, **event, **fields})

    def manage(self, status: str, *domains: tuple[str, str], created: str = "", name: str = "managed") -> None:
        """Add a ManagedCertificate that the Ingress names, with the states of its domains."""
        names = self.annotations.get("networking.gke.io/managed-certificates")
        self.annotations["networking.gke.io/managed-certificates"] = f"{names},{name}" if names else name
        self.managed.append(
            {
                "metadata": {"name": name, "namespace": "default", "creationTimestamp": created or ago(days=1)},
                "spec": {"domains": [domain for domain, _ in domains] or [HOST]},
                "status": {
                    "certificateStatus": status,
                    "certificateName": f"mcrt-{name}",
                    "domainStatus": [{"domain": domain, "status": state} for domain, state in domains],
                },
            }
        )

    def snapshot(self) -> Snapshot:
        """Return what the API server answers."""
        objects: dict[str, list[dict[str, Any]]] = {
            "Ingress": [self.ingress],
            "Service": [self.service],
            "BackendConfig": [self.config],
            "Secret": [self.secret],
            "EndpointSlice": [self.slice],
            "ManagedCertificate": self.managed,
            "IngressClass": [{"metadata": {"name": n}, "spec": {"controller": c}} for n, c in self.classes.items()],
            "Pod": self.pods,
            "PodDisruptionBudget": [self.budget],
            "Event": self.events,
        }
        for kind, items in self.more.items():
            objects[kind] = [*objects.get(kind, []), *items]
        refused = {each.kind for each in self.unread if not each.name}
        return Snapshot(
            server="https://192.0.2.1",
            namespace="default",
            objects={kind: tuple(items) for kind, items in objects.items() if kind not in refused},
            release=self.release() if self.helm else None,
            gke=self.gke,
            unread=tuple(self.unread),
        )

    def release(self) -> dict[str, Any]:
        """Return Helm's Secret."""
        document = {
            "name": "my-release",
            "namespace": "default",
            "version": 3,
            "info": {"status": self.status},
            "chart": {
                "metadata": {"name": "milvus", "version": "5.0.1"},
                "values": {"service": {"portName": "milvus"}},
            },
            "config": self.values,
        }
        packed = base64.b64encode(gzip.compress(json.dumps(document).encode()))
        return {"metadata": {"name": "sh.helm.release.v1.my-release.v3"}, "data": {"release": _b64(packed)}}

    def facts(self) -> ClusterFacts:
        """Return what it all means."""
        facts = assemble(self.snapshot(), "my-release", NOW)
        return dataclasses.replace(facts, dns=self.dns, fronts=tuple(self.fronts), backs=tuple(self.backs))


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def dns(*addresses: str, failure: ProbeFailure | None = None) -> DnsResult:
    """Return what a name resolves to."""
    return DnsResult(tuple(a for a in addresses if ":" not in a), tuple(a for a in addresses if ":" in a), (), failure)


def pod_seen(number: int = 1, **changes: Any) -> AddressFacts:
    """Return a Pod that was reached and whose Milvus answers, unless ``changes`` say otherwise."""
    target = AddressTarget(
        endpoint=Endpoint(f"10.244.0.{10 + number}", 19530), about=ObjectRef("Pod", "default", f"milvus-{number}")
    )
    return _seen(target, healthz=HttpResult(status=200), **changes)


def front_seen(**changes: Any) -> AddressFacts:
    """Return the Ingress's address, through which Milvus answers, unless ``changes`` say otherwise."""
    return _seen(AddressTarget(endpoint=Endpoint(HOST, 443, connect_to=ADDRESS)), **changes)


def _seen(target: AddressTarget, **changes: Any) -> AddressFacts:
    given: dict[str, Any] = {
        "target": target,
        "now": NOW,
        "dns": dns(target.endpoint.dialled),
        "tcp": OPEN,
        "tls": TlsResult("TLSv1.3", "h2", ()),
        "connect": VERSION,
        "version": VERSION,
        "serving": (True, OK),
    }
    return AddressFacts(**{**given, **changes})
