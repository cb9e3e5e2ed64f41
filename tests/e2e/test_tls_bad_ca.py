"""A CA that Envoy rejects affects only the host, or the endpoints, that use it."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from kiteway.certificates.create import KeyPair, create_authority, create_client, create_issued, create_self_signed
from kiteway.envoy.ads import LISTENER, SECRET, Snapshot
from kiteway.files import write_atomic
from tests.e2e.behaviour import World, world
from tests.e2e.traffic import eventually
from tests.golden.inputs import translate_text
from tests.support.ingresses import SERVICE, ingress, secret, service, text
from tests.support.manifests import endpoint_slice

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

VICTIM, ATTACKER, OPEN, LATE, VERIFIED = (
    f"{name}.example.com" for name in ("victim", "attacker", "open", "late", "verified")
)
OURS, THEIRS = create_authority("Ours"), create_authority("Theirs")
SERVER = create_self_signed([VICTIM, ATTACKER, OPEN, LATE, VERIFIED])


def damaged(pem: str) -> str:
    """Return a CA with one byte changed, for one that Envoy's BoringSSL refuses: the type of the issuer's name."""
    der = ssl.PEM_cert_to_DER_cert(pem)
    return ssl.DER_cert_to_PEM_cert(der.replace(b"\x55\x04\x03\x0c", b"\x55\x04\x03\x08", 1))


def _bundle(name: str, pair: KeyPair, namespace: str) -> dict[str, Any]:
    values = {"ca.crt": base64.b64encode(pair.certificate).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "data": values}


def _host(name: str, host: str, ca: str = "", namespace: str = "default") -> dict[str, Any]:
    return ingress(name, [host], ["server"], namespace, annotations={"kiteway.io/client-ca-secret": ca} if ca else None)


def messages(envoy: World, *more: Mapping[str, Any], damage: bool = True) -> list[Message]:
    """Return what Envoy is given; to ``damage`` the attacker's CA comes after all that Kiteway looks at."""
    documents = [
        service(),
        service("attacker"),
        secret("server", (SERVER.certificate, SERVER.key.reveal())),
        secret("server", (SERVER.certificate, SERVER.key.reveal()), "attacker"),
        _bundle("our-ca", OURS, "default"),
        _bundle("their-ca", THEIRS, "attacker"),
        _host("victim", VICTIM, "our-ca"),
        _host("attacker", ATTACKER, "their-ca", "attacker"),
        _host("open", OPEN),
        *more,
    ]
    found = list(translate_text(text(*documents), "test.yaml", envoy.proxy.settings).messages)
    (theirs,) = [m for m in found if isinstance(m, Secret) and m.name == "ca/attacker/their-ca"]
    if damage:
        theirs.validation_context.trusted_ca.inline_string = damaged(theirs.validation_context.trusted_ca.inline_string)
    return found


@pytest.fixture
def envoy(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[World]:
    """Return a running Envoy without any configuration yet."""
    with world(tmp_path, free_port) as running:
        yield running


@pytest.fixture
def client(tmp_path: Path) -> Callable[[KeyPair | None], ssl.SSLContext]:
    """Return a function that returns what a client connects with, who has a certificate of a CA, or none."""

    def context(ca: KeyPair | None) -> ssl.SSLContext:
        found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        found.check_hostname = False
        found.verify_mode = ssl.CERT_NONE
        if ca is not None:
            pair = create_client(ca, "client")
            write_atomic(tmp_path / "client.pem", pair.certificate + pair.key.reveal(), 0o600)
            found.load_cert_chain(tmp_path / "client.pem")
        return found

    return context


def test_a_ca_that_envoy_refuses_costs_one_host(
    envoy: World, client: Callable[[KeyPair | None], ssl.SSLContext]
) -> None:
    """With a damaged client CA its host serves no client, other hosts are served, and changes take effect."""

    def answers(host: str, ca: KeyPair | None) -> bool:
        try:
            with envoy.handshake(host, context=client(ca)) as connection:
                connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                return connection.recv(4096).startswith(b"HTTP/1.1")
        except OSError:
            return False

    envoy.proxy.publish(Snapshot.of(messages(envoy)))
    eventually(lambda: answers(OPEN, None), "the listener is there")
    assert envoy.proxy.rejected() == {SECRET}
    assert answers(VICTIM, OURS)
    assert not answers(VICTIM, None)
    assert [answers(ATTACKER, ca) for ca in (None, OURS, THEIRS)] == [False] * 3

    envoy.proxy.publish(Snapshot.of(messages(envoy, _host("late", LATE))))
    eventually(lambda: envoy.proxy.stat("listener_manager.listener_modified") >= 1, "Envoy has taken the change")
    assert answers(LATE, None)

    assert LISTENER not in envoy.proxy.rejected()
    assert answers(VICTIM, OURS)
    assert [answers(ATTACKER, ca) for ca in (None, OURS, THEIRS)] == [False] * 3


def _verified(envoy: World) -> list[Mapping[str, Any]]:
    """Return the manifests of a host whose endpoint is verified against the attacker's CA; the others' is not."""
    issued = create_issued(THEIRS, ["milvus.internal"])
    credentials = grpc.ssl_server_credentials([(issued.key.reveal(), issued.certificate)])
    address = envoy.backend("good", credentials).address
    notes = {"kiteway.io/backend-ca-secret": "their-ca", "kiteway.io/backend-server-name": "milvus.internal"}
    return [
        service("attacker", notes, "verified"),
        endpoint_slice([address], envoy.grpc_port, "verified", "attacker"),
        endpoint_slice([address], envoy.grpc_port, SERVICE),
        ingress("verified", [VERIFIED], ["server"], "attacker", service="verified"),
    ]


def test_a_ca_for_endpoints_that_envoy_refuses_costs_one_pool(envoy: World) -> None:
    """
    With a damaged CA for endpoints Envoy connects to none of them; it accepts the cluster, and other pools
    are served.
    """
    envoy.proxy.publish(Snapshot.of(messages(envoy, *_verified(envoy))))

    eventually(lambda: served(envoy, OPEN), "the others are served")
    assert envoy.proxy.rejected() == {SECRET}
    assert not served(envoy, VERIFIED)


def test_a_ca_that_is_damaged_later_leaves_the_one_before_in_force(envoy: World) -> None:
    """Endpoints are still verified against the last CA that Envoy accepted."""
    more = _verified(envoy)
    envoy.proxy.publish(Snapshot.of(messages(envoy, *more, damage=False)))
    eventually(lambda: served(envoy, VERIFIED), "it is served")

    envoy.proxy.publish(Snapshot.of(messages(envoy, *more)))
    eventually(lambda: envoy.proxy.rejected() == {SECRET}, "Envoy refuses the CA")
    assert served(envoy, VERIFIED)


def served(envoy: World, host: str) -> bool:
    """Return whether a call for a host gets to a backend."""
    try:
        return bool(envoy.call(host, roots=SERVER.certificate, timeout=5.0))
    except grpc.RpcError:
        return False
