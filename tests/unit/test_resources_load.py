"""From files and API objects to typed objects: identity, lists, positions, notes."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import typing
from pathlib import Path

import pytest
import yaml

from kiteway.diagnostics import ObjectRef, Position, Severity
from kiteway.resources import (
    DEFAULT,
    KINDS,
    BackendConfig,
    EndpointSlice,
    Ingress,
    IngressClass,
    ManagedCertificate,
    ObjectMeta,
    Service,
    load_documents,
    load_object,
    reasons,
)
from kiteway.resources.kinds.backend_config import BackendConfigSpec, SessionAffinityConfig
from kiteway.resources.kinds.backend_config_google import OAuthClientCredentials
from kiteway.resources.kinds.service import ServiceSpec
from kiteway.resources.schema import Support, fields

FIXTURE = Path(__file__).parent.parent / "fixtures" / "kubectl-get-milvus.yaml"

GUIDE = b"""\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: my-release-milvus
spec:
  tls:
  - hosts:
    - my-release.milvus.io
    secretName: my-release-milvus-tls
  rules:
  - host: my-release.milvus.io
    http:
      paths:
      - path: /
        pathType: Prefix
        backend:
          service:
            name: my-release-milvus
            port:
              number: 19530
"""
SERVICE = "{apiVersion: v1, kind: Service, metadata: {name: %s}, spec: {ports: [{port: 80}]}}"


def test_kubectl_get_of_a_milvus_release_loads_without_a_word() -> None:
    """The output of kubectl, status and managedFields included, gives typed objects and no diagnostic."""
    loaded = load_documents(FIXTURE.read_bytes(), "get.yaml")

    assert loaded.diagnostics == ()
    assert [o.kind for o in loaded.objects] == [
        "Ingress", "Service", "Service", "Service", "EndpointSlice", "EndpointSlice", "BackendConfig",
        "ManagedCertificate",
    ]  # fmt: skip
    ingress, service, _, headless, endpoints, _, backend, certificate = loaded.objects
    assert isinstance(ingress, Ingress)
    assert ingress.metadata.creation_timestamp == dt.datetime(2024, 5, 14, 9, 21, 7, tzinfo=dt.UTC)
    assert isinstance(service, Service)
    assert [(p.name, p.port, p.target_port) for p in service.spec.ports] == [
        ("milvus", 19530, "milvus"),
        ("metrics", 9091, "metrics"),
    ]
    assert isinstance(headless, Service)
    assert headless.spec.cluster_ip == "None"
    assert isinstance(endpoints, EndpointSlice)
    assert endpoints.service_name == "my-release-milvus"
    assert [(e.addresses[0], e.conditions.ready, e.conditions.terminating, e.zone) for e in endpoints.endpoints] == [
        ("10.104.1.17", True, False, "europe-west1-b"),
        ("10.104.2.9", False, True, "europe-west1-c"),
    ]
    assert isinstance(backend, BackendConfig)
    assert backend.spec.health_check is not None
    assert (backend.spec.health_check.port, backend.spec.health_check.request_path) == (9091, "/healthz")
    assert isinstance(certificate, ManagedCertificate)
    assert certificate.status.certificate_status == "Active"


def test_yaml_json_and_the_api_give_equal_objects() -> None:
    """The same objects from YAML, from JSON text and from parsed JSON are equal; only their positions differ."""
    raw = yaml.safe_load(FIXTURE.read_text())
    from_yaml = load_documents(FIXTURE.read_bytes(), "a.yaml")
    from_json = load_documents(json.dumps(raw, ensure_ascii=False).encode(), "a.json")
    from_api = load_object(raw)

    assert from_yaml.objects == from_json.objects == from_api.objects
    assert from_json.diagnostics == from_api.diagnostics == ()
    assert from_api.objects[0].at("spec") is None


def test_positions_are_of_values_or_their_nearest_parent() -> None:
    """A field's position is that of its value; a missing field has the position of its parent."""
    [ingress] = load_documents(GUIDE, "guide.yaml").objects

    assert ingress.at("spec", "rules", 0, "host") == Position("guide.yaml", 11, 11)
    assert ingress.at("spec", "rules", 0, "http", "paths", 0, "backend", "service", "port", "number") == Position(
        "guide.yaml", 20, 23
    )
    assert ingress.at("spec", "rules", 1, "host") == Position("guide.yaml", 11, 3)
    assert ingress.at("spec", "ingressClassName") == Position("guide.yaml", 6, 3)
    assert ingress.at("spec", "rules", "host") == Position("guide.yaml", 11, 3)
    assert ingress.at() == Position("guide.yaml", 1, 1)


def test_an_object_makes_its_own_diagnostics() -> None:
    """Object, position and path are filled in."""
    [ingress] = load_documents(GUIDE, "guide.yaml").objects
    diagnostic = ingress.diagnostic(Severity.WARNING, "Reason", "message", "fix", ("spec", "rules", 0, "host"))

    assert diagnostic.object == ObjectRef("Ingress", "default", "my-release-milvus")
    assert diagnostic.position == Position("guide.yaml", 11, 11)
    assert diagnostic.path == "spec.rules[0].host"
    assert (diagnostic.severity, diagnostic.reason, diagnostic.message, diagnostic.fix) == (
        Severity.WARNING, "Reason", "message", "fix",
    )  # fmt: skip


def test_the_namespace_is_the_objects_own_or_the_given_one() -> None:
    """metadata.namespace wins; without it the parameter counts; kinds without namespaces have none."""
    text = GUIDE + b"---\n" + GUIDE.replace(b"name: my", b"namespace: own\n  name: my", 1)
    text += b"---\n{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: a}}\n"
    loaded = load_documents(text, "f.yaml", namespace="given")

    assert [o.metadata.namespace for o in loaded.objects] == ["given", "own", ""]
    assert isinstance(loaded.objects[2], IngressClass)


def test_items_of_lists_are_at_their_own_places() -> None:
    """Nested lists are read; each item has its position, and a bad item does not affect others."""
    text = f"""\
kind: List
apiVersion: v1
items:
- {SERVICE % "a"}
- kind: List
  apiVersion: v1
  items:
  - {SERVICE % "b"}
  - {SERVICE % "C"}
- {SERVICE % "d"}
"""
    loaded = load_documents(text.encode(), "f.yaml")

    assert [(str(o.ref), o.at()) for o in loaded.objects] == [
        ("Service default/a", Position("f.yaml", 4, 3)),
        ("Service default/b", Position("f.yaml", 8, 5)),
        ("Service default/d", Position("f.yaml", 10, 3)),
    ]
    assert [(d.path, d.position) for d in loaded.diagnostics] == [("metadata.name", Position("f.yaml", 9, 54))]


def test_a_duplicate_key_refuses_the_item_it_is_in_and_no_other() -> None:
    """Of three items the one with the duplicate is left out; a duplicate beside the items refuses none."""
    text = f"""\
kind: List
apiVersion: v1
metadata: {{}}
metadata: {{}}
items:
- {SERVICE % "a"}
- {SERVICE % "b, name: c"}
- {SERVICE % "d"}
"""
    loaded = load_documents(text.encode(), "f.yaml")

    assert [o.metadata.name for o in loaded.objects] == ["a", "d"]
    assert [(d.reason, d.path) for d in loaded.diagnostics] == [
        (reasons.DUPLICATE_KEY, ""),
        (reasons.DUPLICATE_KEY, "items[1].metadata"),
    ]
    assert [str(ref) for ref in loaded.refused] == ["Service default/b"]


def test_items_of_a_typed_list_need_no_kind() -> None:
    """The API leaves apiVersion and kind out of a ServiceList's items."""
    loaded = load_object(
        {
            "apiVersion": "v1",
            "kind": "ServiceList",
            "items": [{"metadata": {"name": "a"}, "spec": {"ports": [{"port": 1}]}}],
        }
    )

    assert [str(o.ref) for o in loaded.objects] == ["Service default/a"]


@pytest.mark.parametrize(
    ("text", "reason", "path", "words"),
    [
        ("- a\n", reasons.NOT_AN_OBJECT, "", "is a mapping"),
        ("hello\n", reasons.NOT_AN_OBJECT, "", "is a mapping"),
        ("kind: Service\n", reasons.FIELD_VALUE_REQUIRED, "apiVersion", "Add apiVersion"),
        ("apiVersion: v1\n", reasons.FIELD_VALUE_REQUIRED, "kind", "Add kind"),
        ("apiVersion: 1\nkind: Service\n", reasons.FIELD_VALUE_TYPE_INVALID, "apiVersion", "must be a string"),
        ("apiVersion: networking.k8s.io/v1\nkind: IngressClass\n", reasons.FIELD_VALUE_REQUIRED, "metadata", "Add metadata"),
        ("apiVersion: v1\nkind: List\n", reasons.FIELD_VALUE_TYPE_INVALID, "items", "must be a list, not null"),
        ("apiVersion: v1\nkind: List\nitems: {}\n", reasons.FIELD_VALUE_TYPE_INVALID, "items", "must be a list"),
        ("apiVersion: extensions/v1beta1\nkind: Ingress\n", reasons.NO_MATCH_FOR_KIND, "apiVersion", "networking.k8s.io/v1; give every path"),
        ("apiVersion: networking.k8s.io/v1beta1\nkind: Ingress\n", reasons.NO_MATCH_FOR_KIND, "apiVersion", "service.port.number"),
        ("apiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSlice\n", reasons.NO_MATCH_FOR_KIND, "apiVersion", "discovery.k8s.io/v1;"),
        ("apiVersion: networking.gke.io/v1beta2\nkind: ManagedCertificate\n", reasons.NO_MATCH_FOR_KIND, "apiVersion", "networking.gke.io/v1;"),
        ("apiVersion: networking.gke.io/v1\nkind: FrontendConfig\n", reasons.NO_MATCH_FOR_KIND, "apiVersion", "Use apiVersion: networking.gke.io/v1beta1."),
        ("apiVersion: v1\nkind: Ingress\n", reasons.NO_MATCH_FOR_KIND, "apiVersion", "Use apiVersion: networking.k8s.io/v1."),
        ("apiVersion: networking.k8.io/v1\nkind: Ingress\n", reasons.NO_MATCH_FOR_KIND, "apiVersion", "Use apiVersion: networking.k8s.io/v1."),
        ("apiVersion: apps/v1\nkind: Service\n", reasons.NO_MATCH_FOR_KIND, "apiVersion", "Use apiVersion: v1."),
        ("apiVersion: networking.k8s.io/v1\nkind: ingress\n", reasons.NO_MATCH_FOR_KIND, "kind", "Did you mean Ingress?"),
        ("apiVersion: cloud.google.com/v1\nkind: BackendConfigs\n", reasons.NO_MATCH_FOR_KIND, "kind", "Did you mean BackendConfig?"),
    ],
)  # fmt: skip
def test_a_wrong_kind_or_version_is_explained(text: str, reason: str, path: str, words: str) -> None:
    """A wrong or missing apiVersion or kind is one error that says what to write."""
    [diagnostic] = load_documents(text.encode(), "f.yaml").diagnostics

    assert (diagnostic.severity, diagnostic.reason, diagnostic.path) == (Severity.ERROR, reason, path)
    assert words in f"{diagnostic.message} {diagnostic.fix}"
    assert diagnostic.position is not None


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("apps/v1", "Deployment"),
        ("v1", "ServiceAccount"),
        ("v1", "PersistentVolumeClaim"),
        ("v1", "ConfigMap"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("serving.knative.dev/v1", "Service"),
        ("networking.internal.knative.dev/v1alpha1", "Ingress"),
        ("example.com/v1", "AllowList"),
    ],
)
def test_unrelated_kinds_are_noted_once_with_their_number(api_version: str, kind: str) -> None:
    """Three objects of another kind are one note at the first of them."""
    text = f"---\napiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}\n" * 3
    [diagnostic] = load_documents(text.encode(), "f.yaml").diagnostics

    assert (diagnostic.severity, diagnostic.reason) == (Severity.NOTE, reasons.KIND_IGNORED)
    assert f'3 objects of kind "{kind}" ("{api_version}")' in diagnostic.message
    assert diagnostic.position == Position("f.yaml", 2, 1)


def test_a_file_full_of_mistakes_lists_some_and_counts_the_rest() -> None:
    """With room for five diagnostics, thirty mistakes are five and a note of the others."""
    text = "".join(f"---\n{SERVICE % 'A'}\n" for _ in range(30))
    loaded = load_documents(text.encode(), "f.yaml", dataclasses.replace(DEFAULT, diagnostics=5))

    assert [d.reason for d in loaded.diagnostics] == [reasons.FIELD_VALUE_INVALID] * 5 + [reasons.TOO_MANY_DIAGNOSTICS]
    assert "25 more" in loaded.diagnostics[-1].message
    assert len(loaded.refused) == 30


def test_hostile_names_do_not_reach_a_terminal() -> None:
    """A name with an escape sequence is printed with the escape spelt out."""
    text = 'apiVersion: v1\nkind: Service\nmetadata: {name: "a\\e[31m"}\nspec: {ports: [{port: 80}]}\n'
    [diagnostic] = load_documents(text.encode(), "f.yaml").diagnostics

    assert "\x1b" not in str(diagnostic)
    assert "\\x1b" in str(diagnostic)


def parts(cls: type) -> set[type]:
    """Return a dataclass and all those its fields hold."""
    found, waiting = {cls}, [cls]
    while waiting:
        current = waiting.pop()
        hints = typing.get_type_hints(current)
        inside = [hints[name] for name in fields(current)]
        while inside:
            hint = inside.pop()
            inside.extend(typing.get_args(hint))
            if dataclasses.is_dataclass(hint) and isinstance(hint, type) and hint not in found:
                found.add(hint)
                waiting.append(hint)
    return found


@pytest.mark.parametrize("cls", KINDS.values(), ids=KINDS)
def test_every_field_says_what_it_is(cls: type) -> None:
    """Every field of every kind has a sentence and a support level for the reference documentation."""
    assert ObjectMeta in parts(cls)
    for part in parts(cls):
        assert dataclasses.is_dataclass(part)
        names = {field.name for field in dataclasses.fields(part)}
        assert set(fields(part)) == names - {"api_version", "source", "ref"}
        for schema in fields(part).values():
            assert schema.doc.endswith(".")
            assert schema.support in typing.get_args(Support)


def test_the_names_of_fields_are_those_of_kubernetes() -> None:
    """Attributes in snake case are camelCase in YAML, but for Kubernetes' own exceptions."""
    assert fields(ServiceSpec)["cluster_ip"].name == "clusterIP"
    assert fields(BackendConfigSpec)["timeout_sec"].name == "timeoutSec"
    assert fields(SessionAffinityConfig)["affinity_cookie_ttl_sec"].name == "affinityCookieTtlSec"
    assert fields(OAuthClientCredentials)["client_id"].name == "clientID"
