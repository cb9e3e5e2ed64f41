"""TLS to a real Milvus: not verified, verified, with a client certificate, and the reports of failures."""

from __future__ import annotations

import asyncio
import base64
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from pymilvus.grpc_gen import milvus_pb2, milvus_pb2_grpc

from kiteway.certificates.create import KeyPair, create_authority, create_client, create_issued, create_self_signed
from kiteway.files import write_atomic
from kiteway.milvus.embedded import ClientFiles, StandaloneMilvus, TLSFiles
from kiteway.milvus.verify import Target, verify
from tests.support.ingresses import ingress, secret, service, text
from tests.support.kiteway import Running, up, wait_until
from tests.support.reads import channel

pytestmark = [pytest.mark.e2e, pytest.mark.milvus, pytest.mark.timeout(180)]

HOST, NAME = "milvus.example.com", "milvus.internal"


def _values(pair: KeyPair) -> tuple[bytes, bytes]:
    return pair.certificate, pair.key.reveal()


def _files(folder: Path, name: str, pair: KeyPair) -> tuple[Path, Path]:
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    certificate.write_bytes(pair.certificate)
    write_atomic(key, pair.key.reveal(), 0o600)
    return certificate, key


@dataclass
class System:
    """A Milvus behind a balancer whose Service is rewritten by the tests."""

    running: Running
    folder: Path
    port: int
    ca: KeyPair

    def annotate(self, **annotations: str) -> None:
        """Give the Service annotations ``kiteway.io/backend-...``, and wait until Envoy has them."""
        before = self.running.status()["configuration"]["version"]
        notes = {f"kiteway.io/backend-{key.replace('_', '-')}": value for key, value in annotations.items()}
        notes["cloud.google.com/backend-config"] = '{"default": "milvus"}'
        write_atomic(self.folder / "manifests" / "service.yaml", text(service(annotations=notes)))
        wait_until(lambda: self.running.status()["configuration"]["version"] != before, "Envoy has the change")

    def call(self) -> tuple[str, str]:
        """Return status and text of one call."""
        with channel(f"127.0.0.1:{self.port}", self.folder / "front.crt", HOST) as connection:
            make: Any = milvus_pb2_grpc.MilvusServiceStub
            try:
                make(connection).GetVersion(milvus_pb2.GetVersionRequest(), timeout=20)
            except grpc.RpcError as error:
                return error.code().name, error.details() or ""
        return "OK", ""

    def wait_ok(self) -> None:
        """Wait until a call succeeds: an endpoint may be ejected for what was before."""
        wait_until(lambda: self.call()[0] == "OK", "calls succeed again")

    def calls_fail(self) -> str | None:
        """Return why every call to the endpoint fails; None if that is not known."""
        found: str | None = self.running.status()["pools"][0]["endpoints"][0]["callsFail"]
        return found

    def tls(self) -> dict[str, Any]:
        """Return what the status says of TLS to the endpoints."""
        found: dict[str, Any] = self.running.status()["pools"][0]["tls"]
        return found


@pytest.fixture(scope="module", params=[1, 2], ids=["tlsMode-1", "tlsMode-2"])
def system(request: pytest.FixtureRequest, free_port: Callable[[], int]) -> Iterator[System]:
    """Start a Milvus with a certificate for ``NAME``, which in mode 2 asks for one, and a balancer before it."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    ca, clients = create_authority("Backends"), create_authority("Clients")
    client = create_client(clients, "kiteway")
    # Milvus's own readiness probe pins the certificate, so the CA is put beside the leaf.
    certificate, key = _files(folder, "milvus", create_issued(ca, [NAME], key_type="RSA"))
    asked = ClientFiles(_files(folder, "clients", clients)[0], *_files(folder, "client", client))
    files = TLSFiles(certificate, key, asked if request.param == 2 else None)
    front = create_self_signed([HOST])
    _files(folder, "front", front)
    manifests = folder / "manifests"
    manifests.mkdir()
    check = {"type": "HTTP", "port": 9091, "requestPath": "/healthz", "checkIntervalSec": 2, "timeoutSec": 2}
    config = {"apiVersion": "cloud.google.com/v1", "kind": "BackendConfig", "metadata": {"name": "milvus"}}
    documents = [
        ingress("i", [HOST], ["front"]),
        secret("front", _values(front)),
        secret("client", _values(client)),
        secret("stranger", _values(create_client(create_authority("Strangers"), "stranger"))),
        _bundle("ca", ca),
        _bundle("other-ca", create_authority("Others")),
        {**config, "spec": {"healthCheck": check}},
    ]
    write_atomic(manifests / "all.yaml", text(*documents), 0o600)
    notes = {"cloud.google.com/backend-config": '{"default": "milvus"}'}
    if request.param == 2:
        notes["kiteway.io/backend-client-certificate-secret"] = "client"
    write_atomic(manifests / "service.yaml", text(service(annotations=notes)))
    loop = asyncio.new_event_loop()
    milvus = StandaloneMilvus(folder / "milvus", tls=files)
    try:
        loop.run_until_complete(milvus.start())
        port, at = free_port(), milvus.endpoint
        arguments = ["-f", str(manifests), "--https-port", str(port), "--http-port", "0", "--drain", "0"]
        arguments += ["--endpoint", f"milvus=127.0.0.1:{at.port},health={at.health_port}"]
        with up(arguments, folder / "data") as running:
            running.wait_healthy(1)
            yield System(running, folder, port, ca)
    finally:
        loop.run_until_complete(milvus.stop())
        loop.close()
        shutil.rmtree(folder)


def _bundle(name: str, pair: KeyPair) -> dict[str, Any]:
    values = {"ca.crt": base64.b64encode(pair.certificate).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": values}


def _shown(system: System) -> dict[str, str]:
    """Return the annotation with the client certificate where Milvus asks for one."""
    text_ = (system.folder / "milvus" / "configs" / "milvus.yaml").read_text()
    return {"client_certificate_secret": "client"} if "tlsMode: 2" in text_ else {}


def test_pymilvus_verifies_through_an_endpoint_that_is_not_verified(system: System) -> None:
    """
    Without a CA any certificate is accepted, the status says so, and in mode 2 Kiteway shows the client
    certificate.
    """
    target = Target(host="127.0.0.1", port=system.port, ca=system.folder / "front.crt", server_name=HOST)
    report = asyncio.run(verify(target))

    assert report.failure is None
    assert not system.tls()["verified"]
    assert "not verified" in system.tls()["how"]


def test_the_right_ca_and_name(system: System) -> None:
    """With the CA and the name calls succeed, and the status says against which CA and name."""
    system.annotate(ca_secret="ca", server_name=NAME, **_shown(system))

    system.wait_ok()
    assert system.tls()["verified"]
    assert system.tls()["how"] == f"TLS, verified against Secret default/ca for the name {NAME}"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"ca_secret": "other-ca", "server_name": NAME}, "not signed by a CA in Secret default/other-ca"),
        ({"ca_secret": "ca", "server_name": "other.internal"}, "does not carry the name other.internal"),
    ],
    ids=["CA", "name"],
)
def test_a_wrong_ca_or_name(system: System, wrong: dict[str, str], sentence: str) -> None:
    """No call is sent to an endpoint that fails verification; the client gets a sentence and the status the reason."""
    system.annotate(**wrong, **_shown(system))

    wait_until(lambda: system.call()[0] == "UNAVAILABLE", "calls are refused")
    code, details = system.call()
    assert code == "UNAVAILABLE"
    assert "kiteway status" in details
    assert "127.0.0.1" not in details
    assert any(sentence in problem for problem in system.tls()["problems"]), system.tls()
    system.annotate(ca_secret="ca", server_name=NAME, **_shown(system))
    system.wait_ok()


@pytest.mark.parametrize("shown", [{}, {"client_certificate_secret": "stranger"}], ids=["none", "stranger"])
def test_a_client_certificate_that_milvus_does_not_take(system: System, shown: dict[str, str]) -> None:
    """
    Milvus in mode 2 refuses a client without a certificate and one of another CA; the status names the one
    that is shown, and says of the endpoint what is wrong.
    """
    if not _shown(system):
        pytest.skip("this Milvus asks for no certificate")
    system.annotate(ca_secret="ca", server_name=NAME, **shown)

    wait_until(lambda: system.call()[0] != "OK", "calls are refused")
    wait_until(lambda: system.tls()["problems"], "the reason is in the status")
    assert system.tls()["clientCertificate"] == (f"default/{shown['client_certificate_secret']}" if shown else None)
    why = "it refuses the client certificate default/stranger" if shown else "it demands a client certificate"
    wait_until(lambda: why in (system.calls_fail() or ""), why)
    system.annotate(ca_secret="ca", server_name=NAME, **_shown(system))
    system.wait_ok()
