"""What a user sees who connects by a name that nothing routes: the first five minutes of most."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from pymilvus import MilvusClient, MilvusException, connections
from pymilvus.grpc_gen import milvus_pb2

from kiteway.certificates.create import create_self_signed
from kiteway.demo.guide import HOST, manifests, secret
from kiteway.files import write_atomic
from kiteway.filter import filter_path, missing_reason
from tests.support.kiteway import up
from tests.support.reads import channel, service

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(filter_path() is None, reason=missing_reason())]

WRONG = "wrong.milvus.io"


@pytest.fixture(scope="module")
def listening(free_port: Callable[[], int]) -> Iterator[tuple[int, Path]]:
    """Start Kiteway with the guide's manifests and a certificate that is valid for a host nobody routes."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    try:
        pair = create_self_signed([HOST, WRONG], ["127.0.0.1"])
        (folder / "tls.crt").write_bytes(pair.certificate)
        made = folder / "manifests"
        made.mkdir()
        write_atomic(made / "secret.yaml", secret(pair), 0o600)
        port = free_port()
        arguments = ["-f", manifests(), "-f", made, "--https-port", str(port), "--http-port", "0", "--drain", "1"]
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
    """So does the guide's own form."""
    port, ca = listening

    with pytest.raises(MilvusException, match=rf"no Ingress routes the host {WRONG}"):
        connections.connect(
            "wrong", host="127.0.0.1", port=str(port), server_pem_path=str(ca), secure=True, server_name=WRONG
        )


def test_every_other_call_is_denied_with_the_sentence(listening: tuple[int, Path]) -> None:
    """A call that shows the text of its gRPC error gets PERMISSION_DENIED, which PyMilvus does not repeat."""
    port, ca = listening
    with channel(f"127.0.0.1:{port}", ca, WRONG) as connection, pytest.raises(grpc.RpcError) as caught:
        service(connection).GetVersion(milvus_pb2.GetVersionRequest(), timeout=10)

    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert f"no Ingress routes the host {WRONG}" in (caught.value.details() or "")
