"""Trust: endpoints verified against a CA, certificates of clients, TLS profiles."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from kiteway.cli.values import parse_ssl_policies
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.build import build
from kiteway.model import HTTPMode, TLSProfile
from kiteway.resources import load_documents
from kiteway.translate import Options, Translator
from kiteway.translate.translator import Result
from tests.support.certificates import NOW, authority, issue
from tests.support.ingresses import ingress, secret, service, text

A, B = "a.example.com", "b.example.com"
CA = authority()
SERVER = secret("tls", issue(A, B))
CLIENT_CA = {"kiteway.io/client-ca-secret": "clients"}


def bundle(name: str, content: bytes = CA.crt) -> dict[str, Any]:
    """Return a Secret with a CA."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "data": {"ca.crt": base64.b64encode(content).decode()},
    }


def translated(
    *documents: Mapping[str, Any], options: Options | None = None, translator: Translator | None = None
) -> Result:
    """Translate manifests."""
    loaded = load_documents(text(*documents), "test.yaml")
    return (translator or Translator()).translate(loaded.objects, options or Options(), NOW, loaded.refused)


def reasons(result: Result) -> set[str]:
    """Return the reasons of all diagnostics."""
    return {diagnostic.reason for diagnostic in result.diagnostics}


def verified(**annotations: str) -> dict[str, Any]:
    """Return a Service with annotations ``kiteway.io/backend-...``."""
    return service(annotations={f"kiteway.io/backend-{k.replace('_', '-')}": v for k, v in annotations.items()})


def test_without_annotations_any_endpoint_certificate_is_accepted() -> None:
    """Without annotations nothing is verified, as on GKE."""
    (pool,) = translated(service(), SERVER, ingress("i", [A], ["tls"])).model.pools

    assert (pool.tls.ca, pool.tls.server_name, pool.tls.client_certificate) == (None, None, None)


def test_endpoints_are_verified_against_a_ca_and_a_name() -> None:
    """The Service's annotations give the CA, the name and the client certificate."""
    result = translated(
        verified(ca_secret="ca", server_name="milvus.internal", client_certificate_secret="client"),
        bundle("ca"),
        secret("client", issue(cn="kiteway")),
        SERVER,
        ingress("i", [A], ["tls"]),
    )
    (pool,) = result.model.pools
    messages = [MessageToDict(m) for m in build(result.model, EnvoySettings())]

    assert pool.tls.ca is not None
    assert pool.tls.ca.pem.encode() == CA.crt
    assert pool.tls.server_name == "milvus.internal"
    assert {m["name"] for m in messages if "tlsCertificate" in m} == {
        "certificate/default/tls",
        "certificate/default/client",
    }
    # A client certificate has no need of a SAN.
    assert not {r for r in reasons(result) if r.startswith("Certificate")}


@pytest.mark.parametrize(
    ("documents", "reason"),
    [
        ([verified(ca_secret="ca")], "CASecretNotFound"),
        ([verified(ca_secret="ca"), secret("ca", issue(A))], "CASecretInvalid"),
        ([verified(ca_secret="ca"), bundle("ca", b"nothing")], "CASecretInvalid"),
        ([verified(client_certificate_secret="c")], "BackendClientCertificateNotFound"),
        ([verified(client_certificate_secret="c"), bundle("c")], "SecretInvalid"),
        ([verified(ca_secret="ca", server_name="Not A Name"), bundle("ca")], "BackendServerNameInvalid"),
        (
            [
                service(annotations={"kiteway.io/backend-ca-secret": "ca", "cloud.google.com/app-protocols": "{}"}),
                bundle("ca"),
            ],
            "BackendTLSWithoutTLS",
        ),
    ],
)
def test_endpoints_that_cannot_be_verified_get_no_calls(documents: list[dict[str, Any]], reason: str) -> None:
    """If verification is required and not possible, the Service gets no calls, with the reason in a diagnostic."""
    result = translated(*documents, SERVER, ingress("i", [A], ["tls"]))

    assert reason in reasons(result)
    assert result.model.pools == ()


def test_a_ca_without_a_name_is_warned_about() -> None:
    """With a CA alone any certificate of it is accepted, and there is a warning."""
    result = translated(verified(ca_secret="ca"), bundle("ca"), SERVER, ingress("i", [A], ["tls"]))

    assert "BackendNameUnchecked" in reasons(result)
    assert len(result.model.pools) == 1


def test_required_client_certificates_close_every_other_way() -> None:
    """A host that requires certificates is not served in plaintext, and only on connections for its own name."""
    result = translated(
        service(),
        SERVER,
        bundle("clients"),
        ingress("i", [A], ["tls"], annotations={**CLIENT_CA, "kubernetes.io/ingress.allow-http": "true"}),
        ingress("j", [B], ["tls"], created="2026-02-01T00:00:00Z"),
    )
    hosts = {host.domain: host for host in result.model.hosts}
    entries = {",".join(entry.names): entry for entry in result.model.server_names}

    assert (hosts[A].own_connections, hosts[A].http) == (True, HTTPMode.OFF)
    assert not hosts[B].own_connections
    auth = entries[A].client_auth
    assert auth is not None
    assert auth.required
    assert (entries[A].host, entries[B].host, entries[""].host) == (A, "", "")
    assert entries[B].client_auth is entries[""].client_auth is None
    assert "ClientCertificateWithoutHTTP" in reasons(result)


def test_optional_client_certificates_share_the_connections() -> None:
    """Optional certificates are verified if a client shows one; the host is served like any other."""
    result = translated(
        service(),
        SERVER,
        bundle("clients"),
        ingress("i", [A], ["tls"], annotations={**CLIENT_CA, "kiteway.io/client-certificate": "optional"}),
    )
    (entry,) = [entry for entry in result.model.server_names if entry.names]

    assert entry.client_auth is not None
    assert (entry.client_auth.required, entry.host) == (False, "")
    assert not result.model.hosts[0].own_connections


@pytest.mark.parametrize(
    ("annotations", "documents", "reason"),
    [
        (CLIENT_CA, [], "CASecretNotFound"),
        (CLIENT_CA, [bundle("clients", b"")], "CASecretInvalid"),
        ({"kiteway.io/client-certificate": "required"}, [], "ClientCAMissing"),
    ],
)
def test_required_certificates_without_a_ca_serve_no_client(
    annotations: dict[str, str], documents: list[dict[str, Any]], reason: str
) -> None:
    """If certificates are required and there is no CA, the host serves no client."""
    result = translated(service(), SERVER, *documents, ingress("i", [A], ["tls"], annotations=annotations))

    (host,) = result.model.hosts
    assert reason in reasons(result)
    assert (host.https, host.http) == (False, HTTPMode.OFF)


def test_a_ca_that_goes_away_leaves_the_last_good_form() -> None:
    """A running host whose CA Secret is deleted still requires certificates of the last CA."""
    translator = Translator()
    documents = [service(), SERVER, ingress("i", [A], ["tls"], annotations=CLIENT_CA)]
    before = translated(*documents, bundle("clients"), translator=translator)
    after = translated(*documents, translator=translator)

    assert after.model == before.model
    assert "CASecretNotFound" in reasons(after)


def test_an_unknown_mode_is_the_strict_one() -> None:
    """A misspelt ``optional`` requires certificates, and is an error."""
    result = translated(
        service(),
        SERVER,
        bundle("clients"),
        ingress("i", [A], ["tls"], annotations={**CLIENT_CA, "kiteway.io/client-certificate": "Optional"}),
    )

    assert "ClientCertificateInvalid" in reasons(result)
    assert result.model.hosts[0].own_connections


def _with_policy(options: Options) -> Result:
    frontend = {
        "apiVersion": "networking.gke.io/v1beta1",
        "kind": "FrontendConfig",
        "metadata": {"name": "f", "namespace": "default"},
        "spec": {"sslPolicy": "corp"},
    }
    annotations = {"networking.gke.io/v1beta1.FrontendConfig": "f"}
    return translated(service(), SERVER, frontend, ingress("i", [A], ["tls"], annotations=annotations), options=options)


def _suites(result: Result) -> set[str]:
    (listener,) = [m for m in build(result.model, EnvoySettings()) if m.DESCRIPTOR.name == "Listener"]
    parameters = MessageToDict(listener)["filterChains"][0]["transportSocket"]["typedConfig"]["commonTlsContext"]
    assert parameters["tlsParams"]["tlsMinimumProtocolVersion"] == "TLSv1_2"
    return set(parameters["tlsParams"].get("cipherSuites", ()))


def test_an_ssl_policy_has_the_users_profile() -> None:
    """Each profile has the suites of the next stricter one and more; an unknown policy is reported and left out."""
    unknown = _with_policy(Options())
    by_profile = {p: _suites(_with_policy(Options(ssl_policies={"corp": p}))) for p in TLSProfile}

    assert "SslPolicyUnknown" in reasons(unknown)
    assert _suites(unknown) == set()
    assert by_profile[TLSProfile.RESTRICTED] < by_profile[TLSProfile.MODERN] < by_profile[TLSProfile.COMPATIBLE]
    assert all("GCM" in s or "CHACHA20" in s for s in by_profile[TLSProfile.RESTRICTED])
    assert "SslPolicyUnknown" not in reasons(_with_policy(Options(ssl_policies={"corp": TLSProfile.MODERN})))


def test_the_ssl_policy_option_is_read() -> None:
    """The form is ``NAME=PROFILE``; the error for any other text lists the profiles."""
    assert parse_ssl_policies(["a=MODERN", "b=RESTRICTED"]) == {"a": TLSProfile.MODERN, "b": TLSProfile.RESTRICTED}
    for bad in ("a", "a=CUSTOM", "=MODERN"):
        with pytest.raises(ValueError, match="COMPATIBLE, MODERN, RESTRICTED"):
            parse_ssl_policies([bad])
