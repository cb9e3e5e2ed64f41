"""The limits of certificates and filter chains: each limit is applied, and what is within it is served."""

from __future__ import annotations

from typing import Any

import pytest

from kiteway._proto.envoy.config.listener.v3.listener_pb2 import Listener
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from kiteway.envoy.xds.common import HTTPS_LISTENER
from kiteway.model import HTTPMode
from kiteway.translate.shared import limits
from tests.golden.inputs import Translated
from tests.support.certificates import Issued, issue
from tests.support.chains import names_by_chain
from tests.support.ingresses import ingress, secret
from tests.unit.test_translate_limits import authority_of_names, reasons_of, translate_documents

NAMES = [f"n{number}.example.com" for number in range(1500)]


@pytest.fixture(scope="module")
def many_names() -> Issued:
    """Return a certificate with 1,500 names, of 50 kB."""
    return issue(*NAMES, cn="many")


def _chains(translated: Translated) -> dict[str, Any]:
    """Return the server names of each filter chain that is chosen by name."""
    (listener,) = [m for m in translated.messages if isinstance(m, Listener) and m.name == HTTPS_LISTENER]
    chains = names_by_chain(listener)
    assert chains.keys() == {chain.name for chain in listener.filter_chains}
    return chains


def test_names_of_a_certificate_share_a_filter_chain(many_names: Issued) -> None:
    """
    However many names a certificate has, those without a rule share one filter chain, and their number is
    limited.
    """
    translated = translate_documents(ingress("a", [None], ["many"]), secret("many", many_names))

    (names,) = _chains(translated).values()
    assert names == sorted(NAMES[: limits.MOST_CERTIFICATE_NAMES])
    assert "CertificateNamesTooMany" in reasons_of(translated)


def test_hosts_with_a_large_certificate_share_a_filter_chain(many_names: Issued) -> None:
    """Envoy gets a certificate of 50 kB once, although its Ingress has rules for hundreds of its names."""
    hosts = NAMES[:300]
    translated = translate_documents(ingress("a", hosts, ["many"]), secret("many", many_names))

    assert list(_chains(translated).values()) == [sorted(hosts)]


def test_hosts_with_the_same_certificate_share_a_filter_chain() -> None:
    """Also across Ingresses of a namespace. A host that comes or goes changes the matcher, not the filter chain."""
    one, other = NAMES[:100], NAMES[100:200]
    some = secret("some", issue("*.example.com"))
    first = translate_documents(ingress("a", one, ["some"]), some)
    second = translate_documents(ingress("a", one, ["some"]), ingress("b", other, ["some"]), some)

    assert list(_chains(first).values()) == [sorted(one)]
    assert list(_chains(second).values()) == [sorted([*one, *other])]
    chains = [
        m.filter_chains
        for t in (first, second)
        for m in t.messages
        if isinstance(m, Listener) and m.name == HTTPS_LISTENER
    ]
    assert chains[0] == chains[1]


def test_hosts_that_clients_reach_differently_have_filter_chains_of_their_own() -> None:
    """One filter chain has one certificate, one TLS profile and one rule for certificates of clients."""
    ca = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ca"}, "data": {"ca.crt": authority_of_names(1)}}
    asked = {"kiteway.io/client-ca-secret": "ca", "kiteway.io/client-certificate": "optional"}
    documents = (
        ingress("a", ["a.example.com"], ["one"]),
        ingress("b", ["b.example.com"], ["other"]),
        ingress("c", ["c.example.com"], ["one"], annotations=asked),
        ingress("d", ["d.example.com", "e.example.com"], ["one"], annotations={"kiteway.io/client-ca-secret": "ca"}),
        secret("one", issue("*.example.com")),
        secret("other", issue("*.example.com")),
        ca,
    )

    assert sorted(_chains(translate_documents(*documents)).values()) == [[f"{name}.example.com"] for name in "abcde"]


def test_a_certificate_that_is_too_long_is_refused_alone() -> None:
    """A chain that no client accepts is not served, and the Ingress's other certificate is."""
    long = issue(*[f"{'a' * 60}-{number}.example.com" for number in range(900)], cn="long")
    assert len(long.crt) > limits.LONGEST_CERTIFICATE_CHAIN
    translated = translate_documents(
        ingress("a", ["a.example.com"], ["long", "good"]), secret("long", long), secret("good", issue("a.example.com"))
    )

    assert "CertificateTooLong" in reasons_of(translated)
    assert [certificate.name for certificate in translated.model.certificates] == ["default/good"]


def test_a_client_ca_is_in_the_configuration_once() -> None:
    """The CA of a hundred hosts is a secret of its own, which the listener names."""
    hosts = [f"h{number}.example.com" for number in range(100)]
    ca = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "ca"},
        "data": {"ca.crt": authority_of_names(100_000)},
    }
    notes = {"kiteway.io/client-ca-secret": "ca"}
    translated = translate_documents(
        ingress("a", hosts, ["server"], annotations=notes), secret("server", issue("*.example.com")), ca
    )

    assert len(_chains(translated)) == len(hosts)
    assert sum(m.ByteSize() for m in translated.messages if isinstance(m, Listener)) < 1_000_000
    assert [m.name for m in translated.messages if isinstance(m, Secret) and m.HasField("validation_context")] == [
        "ca/default/ca"
    ]


def test_a_client_ca_that_is_too_long() -> None:
    """Its host is not served at all, because its owner requires certificates."""
    ca = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "ca"},
        "data": {"ca.crt": authority_of_names(270_000)},
    }
    notes = {"kiteway.io/client-ca-secret": "ca", "kubernetes.io/ingress.allow-http": "true"}
    translated = translate_documents(
        ingress("a", ["a.example.com"], ["server"], annotations=notes), secret("server", issue("a.example.com")), ca
    )

    assert "CASecretTooLong" in reasons_of(translated)
    assert not any(host.https or host.http is not HTTPMode.OFF for host in translated.model.hosts)


def test_more_certificates_than_one_ingress_may_have() -> None:
    """Certificates after the first hundred are left out, with a diagnostic."""
    one = issue("a.example.com")
    names = [f"s{number}" for number in range(limits.MOST_CERTIFICATES + 1)]
    translated = translate_documents(ingress("a", [None], names), *(secret(name, one) for name in names))

    assert "CertificatesTooMany" in reasons_of(translated)
    assert f"default/{names[-1]}" not in {c for entry in translated.model.server_names for c in entry.certificates}
