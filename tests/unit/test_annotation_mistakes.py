"""Unknown annotations: misspellings are distinguished from other tools' annotations."""

from __future__ import annotations

import datetime as dt

import pytest

from kiteway.resources import annotations as keys
from kiteway.resources.annotations import ON_INGRESS, ON_SERVICE
from kiteway.resources.foreign_annotations import CONTROLLERS, Loss, foreign
from kiteway.resources.load import load_object
from kiteway.resources.near_annotations import near
from kiteway.translate import Options, translate


def test_every_known_key_belongs_to_one_kind() -> None:
    """Every key in `annotations` is declared for a Service or for an Ingress."""
    known = {value for name, value in vars(keys).items() if name.isupper() and isinstance(value, str) and "/" in value}
    undeclared = known - {keys.STATUS_PREFIX} - ON_SERVICE - ON_INGRESS
    assert not undeclared, "declare it with _on_service or _on_ingress in resources/annotations.py"
    assert not ON_SERVICE & ON_INGRESS


def test_a_key_that_ends_with_secret_names_one() -> None:
    """In a cluster Kiteway reads a Secret of another type than TLS only where an annotation in `NAMING_SECRETS` names it."""
    assert {key for key in ON_SERVICE | ON_INGRESS if key.endswith("-secret")} == keys.NAMING_SECRETS


@pytest.mark.parametrize("key", sorted(ON_SERVICE | ON_INGRESS))
def test_a_known_key_is_right_on_its_own_kind_alone(key: str) -> None:
    """No known key counts as a misspelling of another; on the wrong kind the diagnostic names the right kind."""
    own, other = ("Service", "Ingress") if key in ON_SERVICE else ("Ingress", "Service")
    assert near(key, own) is None
    found = near(key, other)
    assert found is not None
    assert (found.meant, found.kind, found.misspelt) == (key, own, False)


@pytest.mark.parametrize(
    ("key", "kind", "meant"),
    [
        ("cloud.google.com/app-protocol", "Service", keys.APP_PROTOCOLS),
        ("networking.gke.io/FrontendConfig", "Ingress", keys.FRONTEND_CONFIG),
        ("networking.gke.io/v1.FrontendConfig", "Ingress", keys.FRONTEND_CONFIG),
        ("kubernetes.io/allow-http", "Ingress", keys.ALLOW_HTTP),
        ("ingress.allow-http", "Ingress", keys.ALLOW_HTTP),
        ("networking.gke.io/pre-shared-cert", "Ingress", keys.PRE_SHARED_CERT),
        ("cloud.gogle.com/neg", "Service", keys.NEG),
        ("Cloud.Google.com/Backend-Config", "Service", keys.BACKEND_CONFIG),
        ("networking.gke.io/neg", "Service", keys.NEG),
        ("kiteway.io/client-ca", "Ingress", keys.CLIENT_CA),
    ],
)
def test_a_misspelt_key_is_recognised(key: str, kind: str, meant: str) -> None:
    """A letter, the prefix, the version or the case is wrong."""
    found = near(key, kind)
    assert found is not None
    assert (found.meant, found.misspelt) == (meant, True)


@pytest.mark.parametrize(
    "key",
    [
        "cloud.google.com/load-balancer-type",
        "networking.gke.io/load-balancer-ip-addresses",
        "ingress.kubernetes.io/backends",
        "kubectl.kubernetes.io/last-applied-configuration",
        "cert-manager.io/cluster-issuer",
        "meta.helm.sh/release-name",
        "prometheus.io/port",
        "service.kubernetes.io/topology-mode",
        "example.com/neg",
        "acme.cert-manager.io/http01-ingress-class",
        "x" * 300,
    ],
)
def test_another_tools_key_is_nothing_of_ours(key: str) -> None:
    """Another tool's key does not count as a misspelling, on either kind."""
    assert near(key, "Ingress") is None
    assert near(key, "Service") is None


@pytest.mark.parametrize("prefix", sorted(CONTROLLERS))
def test_a_restriction_is_one_under_every_prefix(prefix: str) -> None:
    """A list of addresses is a restriction with every controller's prefix; another unknown key does little harm."""
    found = foreign(f"{prefix}/whitelist-source-range", "10.0.0.0/8")
    assert found is not None
    assert found.loss is Loss.RESTRICTION
    other = foreign(f"{prefix}/proxy-buffer-size", "8k")
    assert other is not None
    assert other.loss is Loss.TUNING


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("nginx.ingress.kubernetes.io/ssl-redirect", "false"),
        ("nginx.ingress.kubernetes.io/whitelist-source-range", " "),
        ("nginx.ingress.kubernetes.io/enable-modsecurity", "off"),
        ("ingress.kubernetes.io/backends", '{"a":"HEALTHY"}'),
        ("cert-manager.io/cluster-issuer", "letsencrypt"),
    ],
)
def test_annotations_without_a_request_are_not_reported(key: str, value: str) -> None:
    """An annotation that switches something off, one written by GKE and another tool's are not reported."""
    assert foreign(key, value) is None


def test_thousands_of_annotations_give_few_diagnostics() -> None:
    """An object with thousands of unknown keys gets a bounded number of diagnostics."""
    many = {f"kiteway.io/x{number}": "1" for number in range(4000)}
    many |= {f"nginx.ingress.kubernetes.io/x{number}": "1" for number in range(2000)}
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "a", "annotations": many},
        "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 1}}}},
    }
    result = translate(load_object(ingress).objects, Options(), dt.datetime.now(dt.UTC))
    assert len(result.diagnostics) < 30
    assert all(len(d.message) < 1000 for d in result.diagnostics)
    assert "AnnotationMisspelt" in {d.reason for d in result.diagnostics}
