"""The object that a wrong name means, in a set of files."""

from __future__ import annotations

import datetime as dt

import pytest

from kiteway.certificates.create import create_self_signed
from kiteway.diagnostics import Diagnostic, Severity
from kiteway.resources import Object, load_object
from kiteway.translate import Options, translate, with_meant
from tests.support.manifests import Manifest, ingress, path, rule, secret, service

NOW = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)


def _diagnosed(*manifests: Manifest) -> list[Diagnostic]:
    objects: list[Object] = [object_ for manifest in manifests for object_ in load_object(dict(manifest)).objects]
    return with_meant(translate(objects, Options(), NOW).diagnostics, objects)


@pytest.mark.parametrize(
    ("there", "fix"),
    [
        (service("vec-milvus"), "Did you mean vec-milvus? The files have a Service of this name."),
        (
            service("vec-mivus", namespace="milvus"),
            "The Service is in the namespace milvus, and only objects of the same namespace can be used: create it in default.",
        ),
        (service("my-vec-mivus"), "Did you mean my-vec-mivus? The files have a Service of this name."),
        (service("another"), "Create it in the namespace default, or correct the name."),
    ],
    ids=["misspelt", "another namespace", "a part of it", "nothing like it"],
)
def test_a_missing_object_is_looked_for(there: Manifest, fix: str) -> None:
    """The advice is not to create an object that exists under nearly the same name."""
    found = _diagnosed(ingress(rule("a.example.com", path("/", "vec-mivus"))), there)
    assert [each.fix for each in found if each.reason == "ServiceNotFound"] == [fix]


@pytest.mark.parametrize(("value", "warned"), [(None, True), ("true", False), ("false", False)])
def test_plaintext_alone_is_a_warning_unless_it_is_asked_for(value: str | None, *, warned: bool) -> None:
    """A token crosses the network in plaintext where TLS was forgotten, and nobody would say so."""
    annotations = {} if value is None else {"allow_http": value}
    found = _diagnosed(ingress(rule("a.example.com", path("/", "a")), **annotations), service("a"))
    assert any(each.reason == "AllowHttpOpen" for each in found) is warned


@pytest.mark.parametrize(
    ("path_type", "warned"), [("Exact", True), ("ImplementationSpecific", True), ("Prefix", False)]
)
def test_the_root_alone_is_no_call(path_type: str, *, warned: bool) -> None:
    """No gRPC call has the path /, whichever type says that it is matched as a whole."""
    claimed = path("/", "a", path_type)
    found = _diagnosed(ingress(rule("a.example.com", claimed)), service("a"))
    assert [each.reason for each in found].count("PathMatchesNoCall") == int(warned)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("kitewy", "kiteway"),
        ("kite-way", "kiteway"),
        ("gcee", "gce"),
        ("gke", "gce"),
        ("gce-intrenal", "gce-internal"),
        ("nginx", ""),
        ("kiteway2", ""),
        ("kiteway-test", ""),
        ("alb", ""),
    ],
)
@pytest.mark.parametrize("annotated", [True, False])
def test_a_class_that_is_nearly_ours_is_a_mistake(name: str, meant: str, *, annotated: bool) -> None:
    """It is a warning with the right class; a class of another controller or another instance is a note."""
    manifest = {**ingress(rule("a.example.com", path("/", "a")))}
    spec, annotations = {**manifest["spec"]}, {**manifest["metadata"]["annotations"]}
    if annotated:
        annotations["kubernetes.io/ingress.class"] = name
    else:
        del annotations["kubernetes.io/ingress.class"]
        spec["ingressClassName"] = name
    manifest |= {"spec": spec, "metadata": {**manifest["metadata"], "annotations": annotations}}
    found = {d.reason: d.fix for d in _diagnosed(manifest) if d.reason.startswith("IngressClass")}
    assert found == (
        {"IngressClassMisspelt": f"Did you mean {meant}?"}
        if meant
        else {"IngressClassIgnored": "Use the class kiteway if it is meant for Kiteway."}
    )


def test_a_class_that_has_an_object_is_no_mistake() -> None:
    """Its controller is another one, however similar the name is."""
    other = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": "kiteways"},
        "spec": {"controller": "example.com/other"},
    }
    manifest = {**ingress(rule("a.example.com", path("/", "a")))}
    manifest["metadata"] = {"name": "a", "annotations": {"kubernetes.io/ingress.class": "kiteways"}}
    reasons = {each.reason for each in _diagnosed(manifest, other)}
    assert "IngressClassIgnored" in reasons
    assert "IngressClassMisspelt" not in reasons


def test_a_secret_of_another_type_is_a_note() -> None:
    """An Opaque Secret with a certificate is served, as on GKE, and said to be of another type; a TLS Secret is not."""
    pair = create_self_signed(["a.example.com"])
    ours = ingress(rule("a.example.com", path("/", "a")), tls=["tls"])
    right = secret("tls", pair)
    other = {key: value for key, value in right.items() if key != "type"}
    assert "SecretTypeNotTLS" not in {each.reason for each in _diagnosed(ours, service("a"), right)}
    (note,) = (each for each in _diagnosed(ours, service("a"), other) if each.reason == "SecretTypeNotTLS")
    assert note.severity is Severity.NOTE
    assert "of the type Opaque" in note.message
