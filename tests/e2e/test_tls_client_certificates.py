"""Certificates of clients: which hosts require them, and that no other connection reaches such a host."""

from __future__ import annotations

import base64
import contextlib
import shutil
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from pymilvus.grpc_gen import milvus_pb2, milvus_pb2_grpc

from kiteway.certificates.create import KeyPair, create_authority, create_client, create_self_signed
from kiteway.files import write_atomic
from kiteway.filter import filter_path, missing_reason
from tests.support.ingresses import ingress, secret, service, text
from tests.support.kiteway import Running, up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

OPEN, REQUIRED, OTHER, OPTIONAL = (f"{name}.example.com" for name in ("open", "required", "other", "optional"))
BARE, LOST = (f"{name}.example.com" for name in ("bare", "lost"))
"""They require certificates too: one has no TLS that its redirect could lead to, the other names a CA that is missing."""
REFUSED = "refused"
_SERVED = 501
"""What REST gets of a host that is served: this Service has no REST."""
_MISDIRECTED = 421


@dataclass
class System:
    """A balancer with hosts that ask for certificates of two CAs, one that asks for none, and two with mistakes."""

    running: Running
    folder: Path
    port: int
    plain_port: int
    grpc_port: int

    def context(self, client: str | None) -> ssl.SSLContext:
        """Return what a client that shows ``client`` connects with."""
        context = ssl.create_default_context(cafile=str(self.folder / "server.crt"))
        context.check_hostname = False
        if client is not None:
            context.load_cert_chain(self.folder / f"{client}.crt", self.folder / f"{client}.key")
        return context

    def get(self, sni: str | None, host: str, client: str | None, port: int | None = None) -> int | str:
        """Return the HTTP status of a request for ``host``, or ``REFUSED`` without an answer."""
        with contextlib.ExitStack() as stack:
            connection: socket.socket = stack.enter_context(
                socket.create_connection(("127.0.0.1", port or self.port), 10)
            )
            try:
                if port is None:
                    connection = stack.enter_context(self.context(client).wrap_socket(connection, server_hostname=sni))
                connection.sendall(f"GET /v1/vector/collections HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                answer = connection.recv(4096)
            except (ssl.SSLError, ConnectionError):
                return REFUSED
        return int(answer.split(b" ", 2)[1]) if answer else REFUSED


def _files(folder: Path, name: str, pair: KeyPair) -> None:
    (folder / f"{name}.crt").write_bytes(pair.certificate)
    write_atomic(folder / f"{name}.key", pair.key.reveal(), 0o600)


def _bundle(name: str, pair: KeyPair) -> dict[str, Any]:
    values = {"ca.crt": base64.b64encode(pair.certificate).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": values}


@pytest.fixture(scope="module")
def system(free_port: Callable[[], int]) -> Iterator[System]:
    """Start the balancer; there is no Milvus behind it."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    server = create_self_signed([OPEN, REQUIRED, OTHER, OPTIONAL])
    _files(folder, "server", server)
    ours, theirs = create_authority("Ours"), create_authority("Theirs")
    _files(folder, "ours", create_client(ours, "ours"))
    _files(folder, "theirs", create_client(theirs, "theirs"))

    def with_ca(name: str, host: str, ca: str, **more: str) -> dict[str, Any]:
        notes = {"kiteway.io/client-ca-secret": ca, "kubernetes.io/ingress.allow-http": "true", **more}
        return ingress(name, [host], ["server"], annotations=notes)

    manifests = folder / "all.yaml"
    redirect = {
        "apiVersion": "networking.gke.io/v1beta1",
        "kind": "FrontendConfig",
        "metadata": {"name": "redirect"},
        "spec": {"redirectToHttps": {"enabled": True}},
    }
    bare = {"kiteway.io/client-ca-secret": "our-ca", "networking.gke.io/v1beta1.FrontendConfig": "redirect"}
    documents = [
        service(),
        redirect,
        ingress("bare", [BARE], [], annotations={"kubernetes.io/ingress.allow-http": "true", **bare}),
        with_ca("lost", LOST, "gone"),
        secret("server", (server.certificate, server.key.reveal())),
        _bundle("our-ca", ours),
        _bundle("their-ca", theirs),
        ingress("open", [OPEN], ["server"], annotations={"kubernetes.io/ingress.allow-http": "true"}),
        with_ca("required", REQUIRED, "our-ca"),
        with_ca("other", OTHER, "their-ca"),
        with_ca("optional", OPTIONAL, "our-ca", **{"kiteway.io/client-certificate": "optional"}),
    ]
    write_atomic(manifests, text(*documents), 0o600)
    ports = [free_port() for _ in range(4)]
    arguments = ["-f", str(manifests), "--https-port", str(ports[0]), "--http-port", str(ports[1])]
    arguments += ["--grpc-port", str(ports[2]), "--endpoint", f"milvus=127.0.0.1:{ports[3]}", "--drain", "0"]
    try:
        with up(arguments, folder / "data") as running:
            yield System(running, folder, ports[0], ports[1], ports[2])
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("host", "client", "answer"),
    [
        (OPEN, None, _SERVED),
        (OPEN, "theirs", _SERVED),
        (REQUIRED, "ours", _SERVED),
        (REQUIRED, None, REFUSED),
        (REQUIRED, "theirs", REFUSED),
        (OTHER, "theirs", _SERVED),
        (OTHER, "ours", REFUSED),
        (OPTIONAL, None, _SERVED),
        (OPTIONAL, "ours", _SERVED),
        (OPTIONAL, "theirs", REFUSED),
    ],
)
def test_each_host_asks_for_its_own(system: System, host: str, client: str | None, answer: int | str) -> None:
    """A host accepts certificates of its CA only; a host that requires none accepts every client."""
    assert system.get(host, host, client) == answer


@pytest.mark.parametrize(
    ("sni", "host", "client"),
    [
        (OPEN, REQUIRED, None),
        (OPEN, REQUIRED, "ours"),
        (OPTIONAL, REQUIRED, "ours"),
        (OTHER, REQUIRED, "theirs"),
        (REQUIRED, OTHER, "ours"),
        (REQUIRED, OPEN, "ours"),
        (None, REQUIRED, "ours"),
        ("unknown.example.com", REQUIRED, "ours"),
        (OPEN, f"{REQUIRED}:443", None),
        (OPEN, REQUIRED.upper(), None),
    ],
)
def test_no_other_connection_leads_there(system: System, sni: str | None, host: str, client: str | None) -> None:
    """If a host requires certificates, a request for it on a connection for another name, or for none, gets 421."""
    assert system.get(sni, host, client) == _MISDIRECTED


@pytest.mark.skipif(filter_path() is None, reason=missing_reason())
@pytest.mark.parametrize(
    ("sni", "host", "client", "answer"),
    [
        (OPEN, "127.0.0.1", None, _SERVED),
        (OPEN.upper(), "10.9.8.7:19530", None, _SERVED),
        (OPEN, "[::1]:443", None, _SERVED),
        (OPEN, "localhost", None, _SERVED),
        (OPTIONAL, "127.0.0.1", None, _SERVED),
        (OPEN, "wrong.example.com", None, 404),
        ("unknown.example.com", "127.0.0.1", None, 404),
        (None, "127.0.0.1", None, 404),
        (REQUIRED, "127.0.0.1", "ours", _MISDIRECTED),
        (OTHER, "localhost", "theirs", _MISDIRECTED),
        (BARE, "127.0.0.1", None, _MISDIRECTED),
        (LOST, "127.0.0.1", "ours", _MISDIRECTED),
    ],
)
def test_an_address_stands_for_the_server_name(
    system: System, sni: str | None, host: str, client: str | None, answer: int
) -> None:
    """A request whose host is an address goes to the host of the SNI, but never to one that requires certificates."""
    assert system.get(sni, host, client) == answer


def test_plaintext_leads_there_neither(system: System) -> None:
    """Neither port 80, whatever allow-http says, nor the plaintext port of gRPC serves such a host."""
    assert system.get(None, OPEN, None, system.plain_port) == _SERVED
    assert system.get(None, REQUIRED, None, system.plain_port) != _SERVED
    assert system.get(None, OPEN, None, system.grpc_port) == _SERVED
    assert system.get(None, REQUIRED, None, system.grpc_port) == _MISDIRECTED


@pytest.mark.parametrize("host", [BARE, LOST])
def test_nor_does_a_mistake_open_it(system: System, host: str) -> None:
    """A host that requires certificates is on no port if its own certificate or the CA is missing."""
    assert system.get(None, host, None, system.plain_port) == 404
    assert system.get(None, host, None, system.grpc_port) == _MISDIRECTED
    assert system.get(host, host, "ours") == _MISDIRECTED


def _call(system: System, sni: str, authority: str) -> tuple[grpc.StatusCode, str]:
    credentials = grpc.ssl_channel_credentials(
        *((system.folder / name).read_bytes() for name in ("server.crt", "ours.key", "ours.crt"))
    )
    options = [("grpc.ssl_target_name_override", sni), ("grpc.default_authority", authority)]
    with grpc.secure_channel(f"127.0.0.1:{system.port}", credentials, options) as channel:
        make: Any = milvus_pb2_grpc.MilvusServiceStub
        with pytest.raises(grpc.RpcError) as caught:
            make(channel).GetVersion(milvus_pb2.GetVersionRequest(), timeout=20)
    return caught.value.code(), caught.value.details() or ""


def test_grpc_clients_are_told_why(system: System) -> None:
    """
    A gRPC client on a connection for another name gets PERMISSION_DENIED, which it does not repeat, and a
    sentence.
    """
    code, details = _call(system, OPEN, REQUIRED)

    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert "server name (SNI)" in details
    assert _call(system, REQUIRED, REQUIRED)[0] is grpc.StatusCode.UNAVAILABLE


def test_plaintext_beside_required_certificates_is_reported(system: System) -> None:
    """There is a diagnostic for allow-http beside required certificates."""
    about = {
        d["object"]["name"]
        for d in system.running.status()["diagnostics"]
        if d["reason"] == "ClientCertificateWithoutHTTP"
    }

    assert about == {"required", "other", "bare", "lost"}
