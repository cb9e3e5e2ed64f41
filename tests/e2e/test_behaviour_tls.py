"""Certificates, port 80 and redirects, by connections to a real Envoy."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grpc
import pytest

from kiteway.certificates.create import KeyPair, create_self_signed
from tests.e2e.behaviour import World, world
from tests.support.manifests import Manifest, frontend_config, ingress, path, rule, secret, service

pytestmark = pytest.mark.e2e

HOST = "my-release.milvus.io"
REDIRECTS = {
    "MOVED_PERMANENTLY_DEFAULT": 301,
    "FOUND": 302,
    "TEMPORARY_REDIRECT": 307,
    "PERMANENT_REDIRECT": 308,
}


@dataclass(frozen=True)
class Pair:
    """A certificate of its own for the names it is made for."""

    pair: KeyPair

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate."""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.pair.certificate.decode())).hexdigest()


def issued(*names: str, key_type: str = "ECDSA") -> Pair:
    """Return a new certificate."""
    return Pair(create_self_signed(names, key_type=key_type))


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[World]:
    """Return a running Envoy without any configuration yet; redirects name its own port."""
    port = free_port()
    with world(tmp_path_factory.mktemp("e"), free_port, https_port=port, public_https_port=port) as running:
        yield running


def milvus(envoy: World, namespace: str = "default") -> list[Manifest]:
    """Return a Service with one backend."""
    return [
        service("milvus", namespace, rest_port=envoy.rest_port),
        envoy.endpoints("milvus", f"{namespace}/milvus", namespace=namespace),
    ]


def test_the_guide_over_tls(envoy: World) -> None:
    """Calls by gRPC and HTTP reach the backend over TLS; the client verifies the certificate for the host."""
    own = issued(HOST)
    envoy.apply(ingress(rule(HOST), tls=["tls"]), secret("tls", own.pair), *milvus(envoy))
    assert envoy.call(HOST, roots=own.pair.certificate)["name"] == "default/milvus"
    assert envoy.rest(HOST, tls=True).name == "default/milvus"


def test_alpn(envoy: World) -> None:
    """The server offers both protocols, HTTP/2 first."""
    envoy.apply(ingress(rule(HOST), tls=["tls"]), secret("tls", issued(HOST).pair), *milvus(envoy))
    chosen = []
    for offer in (["h2", "http/1.1"], ["http/1.1", "h2"], ["http/1.1"]):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(offer)
        with envoy.handshake(HOST, context=context) as connection:
            chosen.append(connection.selected_alpn_protocol())
    assert chosen == ["h2", "h2", "http/1.1"]


def test_versions(envoy: World) -> None:
    """The server accepts TLS 1.2 and 1.3."""
    envoy.apply(ingress(rule(HOST), tls=["tls"]), secret("tls", issued(HOST).pair), *milvus(envoy))
    versions = []
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with envoy.handshake(HOST, version=version) as connection:
            versions.append(connection.version())
    assert versions == ["TLSv1.2", "TLSv1.3"]


def test_certificates_by_sni(envoy: World) -> None:
    """The certificate is chosen by SNI among those of the Ingress; hosts of spec.tls have no effect."""
    a, b = issued("a.example.com"), issued("b.example.com")
    manifest = dict(ingress(rule("a.example.com"), rule("b.example.com"), tls=["b", "a"]))
    manifest["spec"]["tls"][0]["hosts"] = ["a.example.com"]
    envoy.apply(manifest, secret("a", a.pair), secret("b", b.pair), *milvus(envoy))
    assert envoy.fingerprint("a.example.com") == a.fingerprint
    assert envoy.fingerprint("b.example.com") == b.fingerprint
    assert envoy.fingerprint("unknown.example.com") == b.fingerprint
    assert envoy.fingerprint(None) == b.fingerprint


def test_names_before_wildcards(envoy: World) -> None:
    """An exact name is before a wildcard, a longer wildcard before a shorter, in any case; the default is for the rest."""
    names = ("default.test", "*.example.com", "*.a.example.com", "b.a.example.com")
    pairs = [issued(name) for name in names]
    hosts = [ingress(rule(name), name=f"i{number}", tls=[f"s{number}"]) for number, name in enumerate(names)]
    secrets = [secret(f"s{number}", each.pair) for number, each in enumerate(pairs)]
    envoy.apply(*hosts, *secrets, *milvus(envoy))
    default, wildcard, longer, exact = (each.fingerprint for each in pairs)
    asked = ("x.example.com", "x.a.example.com", "b.a.example.com", "B.a.EXAMPLE.com", "example.com", None)
    assert [envoy.fingerprint(name) for name in asked] == [wildcard, longer, exact, exact, default, default]


def test_both_key_types(envoy: World) -> None:
    """With an RSA and an ECDSA certificate, a client that supports only one of the two gets that one."""
    one, other = issued(HOST, key_type="RSA"), issued(HOST)
    envoy.apply(
        ingress(rule(HOST), tls=["rsa", "ecdsa"]), secret("rsa", one.pair), secret("ecdsa", other.pair), *milvus(envoy)
    )
    seen = {}
    for kind in ("aRSA", "aECDSA"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(f"{kind}+AESGCM")
        with envoy.handshake(HOST, context=context) as connection:
            seen[kind] = hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()
    assert seen == {"aRSA": one.fingerprint, "aECDSA": other.fingerprint}


def test_a_foreign_certificate_never_answers(envoy: World) -> None:
    """A certificate that contains a name of another namespace is used for its own Ingress's host only."""
    victim = issued("victim.example.com")
    attacker = issued("victim.example.com", "*.example.com", "attacker.example.com")
    envoy.apply(
        ingress(
            rule("attacker.example.com"),
            rule(None),
            name="a",
            namespace="attacker",
            tls=["tls"],
            created="2026-01-01T00:00:00Z",
        ),
        ingress(rule("victim.example.com"), name="v", namespace="victim", tls=["tls"], created="2026-01-02T00:00:00Z"),
        secret("tls", attacker.pair, "attacker"),
        secret("tls", victim.pair, "victim"),
        *milvus(envoy, "attacker"),
        *milvus(envoy, "victim"),
    )
    assert envoy.fingerprint("victim.example.com") == victim.fingerprint
    assert envoy.fingerprint("attacker.example.com") == attacker.fingerprint
    assert envoy.call("victim.example.com", roots=victim.pair.certificate)["name"] == "victim/milvus"


def test_a_host_without_tls_stays_off_port_443(envoy: World) -> None:
    """A wildcard certificate of another namespace does not serve TLS for a host that has no certificate."""
    wildcard = issued("*.example.com")
    envoy.apply(
        ingress(rule("plain.example.com"), name="v", namespace="victim", created="2026-01-01T00:00:00Z"),
        ingress(rule("*.example.com"), name="a", namespace="attacker", tls=["tls"]),
        secret("tls", wildcard.pair, "attacker"),
        *milvus(envoy, "attacker"),
        *milvus(envoy, "victim"),
    )
    assert envoy.rest("x.example.com", tls=True).name == "attacker/milvus"
    refused = envoy.rest("plain.example.com", tls=True)
    assert (refused.status, "not served over TLS" in refused.body["message"]) == (404, True)
    assert envoy.rest("plain.example.com").name == "victim/milvus"


def test_allow_http_false(envoy: World) -> None:
    """Port 80 does not serve the host, although it serves a wildcard and other hosts; port 443 serves it."""
    own = issued(HOST)
    envoy.apply(
        ingress(rule(HOST), tls=["tls"], allow_http="false"),
        secret("tls", own.pair),
        ingress(rule("*.milvus.io"), rule(None), name="open", namespace="other"),
        *milvus(envoy),
        *milvus(envoy, "other"),
    )
    refused = envoy.rest(HOST)
    assert (refused.status, "Connect with TLS" in refused.body["message"]) == (404, True)
    with pytest.raises(grpc.RpcError) as caught:
        envoy.call(HOST)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert envoy.rest("x.milvus.io").name == "other/milvus"
    assert envoy.call(HOST, roots=own.pair.certificate)["name"] == "default/milvus"


def test_port_80_is_closed_when_no_ingress_uses_it(envoy: World) -> None:
    """With allow-http false on every Ingress no process listens on port 80."""
    envoy.apply(ingress(rule(HOST), tls=["tls"], allow_http="false"), secret("tls", issued(HOST).pair), *milvus(envoy))
    with pytest.raises(ConnectionRefusedError):
        envoy.rest(HOST)


@pytest.mark.parametrize("name", REDIRECTS)
def test_redirects(envoy: World, name: str) -> None:
    """Each code of redirectToHttps gives its HTTP status; path and query are preserved."""
    envoy.apply(
        ingress(rule(HOST), tls=["tls"], frontend="milvus"),
        frontend_config(redirectToHttps={"enabled": True, "responseCodeName": name}),
        secret("tls", issued(HOST).pair),
        *milvus(envoy),
    )
    answer = envoy.rest(HOST, "/v1/vector/search?a=b", method="POST")
    assert answer.status == REDIRECTS[name]
    assert answer.headers["location"] == f"https://{HOST}:{envoy.proxy.settings.https_port}/v1/vector/search?a=b"


def test_settings_are_per_host(envoy: World) -> None:
    """Of three Ingresses on one listener, one serves port 80, one redirects and one refuses."""
    envoy.apply(
        ingress(rule("serve.example.com"), name="a", tls=["tls"]),
        ingress(rule("redirect.example.com"), name="b", tls=["tls"], frontend="milvus"),
        ingress(rule("refuse.example.com"), name="c", tls=["tls"], allow_http="false"),
        frontend_config(redirectToHttps={"enabled": True}),
        secret("tls", issued("*.example.com").pair),
        *milvus(envoy),
    )
    statuses = [envoy.rest(f"{name}.example.com").status for name in ("serve", "redirect", "refuse")]
    assert statuses == [200, 301, 404]


def _draining(envoy: World) -> int:
    """Return how many filter chains and listeners drain: each would close connections."""
    names = ("total_filter_chains_draining", "total_listeners_draining")
    return sum(envoy.proxy.stat(f"listener_manager.{name}") for name in names)


def test_a_new_host_disturbs_no_connection(envoy: World) -> None:
    """An open connection goes on when another Ingress adds a host."""
    own = issued(HOST)
    first = [ingress(rule(HOST), tls=["tls"]), secret("tls", own.pair), *milvus(envoy)]
    envoy.apply(*first)
    with envoy.channel(HOST, own.pair.certificate) as channel:
        stub: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/a.B/C")
        stub(b"", timeout=10)
        before = envoy.proxy.stat("http.https.downstream_cx_total")
        draining = _draining(envoy)
        more = issued("new.example.com")
        envoy.apply(
            *first, ingress(rule("new.example.com", path("/")), name="new", tls=["new"]), secret("new", more.pair)
        )
        assert envoy.fingerprint("new.example.com") == more.fingerprint
        # What drains closes its connections within minutes, so the connection alone would show nothing yet.
        assert _draining(envoy) <= draining
        made = envoy.proxy.stat("http.https.downstream_cx_total")
        stub(b"", timeout=10)
        assert envoy.proxy.stat("http.https.downstream_cx_total") == made > before


def test_hosts_with_one_certificate_disturb_no_connection(envoy: World) -> None:
    """They share a filter chain, and an open connection goes on when one of them comes and when it goes."""
    own = issued("*.example.com")
    first = [ingress(rule("a.example.com"), tls=["tls"]), secret("tls", own.pair), *milvus(envoy)]
    second = ingress(rule("b.example.com"), name="b", tls=["tls"])
    envoy.apply(*first)
    with envoy.channel("a.example.com", own.pair.certificate) as channel:
        stub: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/a.B/C")
        stub(b"", timeout=10)
        made = envoy.proxy.stat("http.https.downstream_cx_total")
        draining = _draining(envoy)
        for objects in ([*first, second], first):
            envoy.apply(*objects)
            assert _draining(envoy) <= draining
            stub(b"", timeout=10)
        assert envoy.proxy.stat("http.https.downstream_cx_total") == made
