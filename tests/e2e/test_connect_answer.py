"""The error that a user sees who connects with a host that is not routed."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import httpx2
import pytest
from pymilvus import MilvusClient, MilvusException, connections
from pymilvus.grpc_gen import milvus_pb2

from kiteway.certificates.create import create_self_signed
from kiteway.demo.guide import HOST, manifests, secret
from kiteway.doctor import AddressTarget, Result, Scope, examine, look_at_address
from kiteway.files import write_atomic
from kiteway.filter import filter_path, missing_reason
from kiteway.milvus.verify import FailureReason, Target, verify
from kiteway.probe import Endpoint, TlsOptions
from kiteway.probe.trust import grpc_default_roots
from tests.support.kiteway import up
from tests.support.reads import channel, service

pytestmark = [pytest.mark.anyio, pytest.mark.e2e, pytest.mark.skipif(filter_path() is None, reason=missing_reason())]

WRONG = "wrong.milvus.io"
REDIRECT = b"""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: redirecting
  annotations: {networking.gke.io/v1beta1.FrontendConfig: redirect}
spec:
  tls: [{secretName: my-release-milvus-tls}]
  rules:
  - host: localhost
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: my-release-milvus, port: {number: 19530}}}}
---
apiVersion: networking.gke.io/v1beta1
kind: FrontendConfig
metadata: {name: redirect}
spec: {redirectToHttps: {enabled: true}}
"""


@pytest.fixture(scope="module")
def listening(free_port: Callable[[], int]) -> Iterator[tuple[int, Path]]:
    """Start Kiteway with the guide's manifests and a certificate that is valid for a host that no Ingress has."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    try:
        pair = create_self_signed([HOST, WRONG], ["127.0.0.1"])
        (folder / "tls.crt").write_bytes(pair.certificate)
        made = folder / "manifests"
        made.mkdir()
        write_atomic(made / "redirect.yaml", REDIRECT, 0o600)
        write_atomic(made / "secret.yaml", secret(pair), 0o600)
        port, http_port = free_port(), free_port()
        (folder / "http-port").write_text(str(http_port))
        arguments = [
            "-f",
            manifests(),
            "-f",
            made,
            "--https-port",
            str(port),
            "--http-port",
            str(http_port),
            "--drain",
            "1",
        ]
        with up([str(a) for a in arguments], folder / "data"):
            yield port, folder / "tls.crt"
    finally:
        shutil.rmtree(folder)


def test_milvus_client_shows_the_sentence(listening: tuple[int, Path]) -> None:
    """MilvusClient, whose first call drops every gRPC error's text, says which host is not routed and what to do."""
    port, ca = listening

    with pytest.raises(MilvusException, match=rf"no Ingress routes the host {WRONG}") as caught:
        MilvusClient(f"https://127.0.0.1:{port}", server_pem_path=str(ca), server_name=WRONG)

    assert "server_name" in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:.connections.connect.:DeprecationWarning", "ignore:.*ORM-style:Warning")
def test_the_orm_shows_the_sentence(listening: tuple[int, Path]) -> None:
    """connections.connect, the guide's own form, says the same."""
    port, ca = listening

    with pytest.raises(MilvusException, match=rf"no Ingress routes the host {WRONG}"):
        connections.connect(
            "wrong", host="127.0.0.1", port=str(port), server_pem_path=str(ca), secure=True, server_name=WRONG
        )


async def test_verify_names_kiteway(listening: tuple[int, Path]) -> None:
    """`kiteway verify` says that Kiteway answers, not Milvus, and does not send its user to Milvus's log."""
    port, ca = listening

    report = await verify(Target(host="127.0.0.1", port=port, ca=ca, server_name=WRONG), timeout=10)

    assert report.failure is not None
    assert report.failure.reason is FailureReason.ROUTE
    assert (
        f"Kiteway at 127.0.0.1:{port} answers by itself, without Milvus: no Ingress routes" in report.failure.sentence
    )
    assert "Milvus's own log" not in report.failure.fix


async def test_verify_names_a_redirect(listening: tuple[int, Path]) -> None:
    """A gRPC call to a host that redirects is told so by Kiteway, at once."""
    _, ca = listening
    port = int((ca.parent / "http-port").read_text())

    report = await verify(Target(host="localhost", port=port, secure=False), timeout=10)

    assert report.failure is not None
    assert report.failure.reason is FailureReason.ROUTE
    assert "host localhost redirects plaintext to HTTPS" in report.failure.sentence


def test_a_rest_call_is_still_redirected(listening: tuple[int, Path]) -> None:
    """Whoever speaks no gRPC is sent to HTTPS."""
    port = int((listening[1].parent / "http-port").read_text())

    answer = httpx2.get(f"http://localhost:{port}/v2/vectordb/collections/list", trust_env=False)

    assert answer.status_code == 301
    assert answer.headers["location"].startswith("https://localhost")


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
async def test_doctor_names_kiteway(listening: tuple[int, Path], *, trusted: bool) -> None:
    """`kiteway doctor` says so too, whatever it finds of the certificate; what it could not judge is skipped."""
    port, ca = listening
    tls = TlsOptions(server_name=WRONG, ca=ca if trusted else grpc_default_roots())

    facts = await look_at_address(AddressTarget(endpoint=Endpoint("127.0.0.1", port), tls=tls), dt.datetime.now(dt.UTC))

    checks = {check.rule.id: check.finding for _, found in examine(Scope.ADDRESS, facts).checks for check in found}
    assert checks["GRPC_DIRECT"].result is Result.FAILED
    assert "answered by Kiteway itself, without Milvus: no Ingress routes" in checks["GRPC_DIRECT"].message
    assert checks["REST_SAME_PORT"].result is Result.FAILED
    assert {checks[each].result for each in ("AUTH_OPEN", "AUTH_TOKEN", "CERT_CAA")} == {Result.SKIPPED}


@pytest.mark.parametrize(
    ("server_name", "named"),
    [(WRONG, f"no Ingress routes the host {WRONG}"), (HOST, "the Service has no healthy endpoint")],
)
def test_an_address_stands_for_the_server_name(listening: tuple[int, Path], server_name: str, named: str) -> None:
    """A gRPC client whose `:authority` is an address, as the Node SDK's, is routed by its server name."""
    port, ca = listening
    credentials = grpc.ssl_channel_credentials(ca.read_bytes())
    options = [("grpc.ssl_target_name_override", server_name), ("grpc.default_authority", f"127.0.0.1:{port}")]
    with (
        grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as connection,
        pytest.raises(grpc.RpcError) as caught,
    ):
        service(connection).GetVersion(milvus_pb2.GetVersionRequest(), timeout=10)

    assert named in (caught.value.details() or "")


def test_every_other_call_is_denied_with_the_sentence(listening: tuple[int, Path]) -> None:
    """Any other call gets PERMISSION_DENIED with the sentence, and PyMilvus does not repeat it."""
    port, ca = listening
    with channel(f"127.0.0.1:{port}", ca, WRONG) as connection, pytest.raises(grpc.RpcError) as caught:
        service(connection).GetVersion(milvus_pb2.GetVersionRequest(), timeout=10)

    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert f"no Ingress routes the host {WRONG}" in (caught.value.details() or "")
