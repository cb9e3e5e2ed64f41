"""
The guide's traps that affect traffic, on a real Milvus, Envoy and clients, without a cluster.

The trap numbers (G1 to G15) are those of docs/reference/doctor.md, "Traps and failures".
"""

from __future__ import annotations

import asyncio
import base64
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from kiteway.certificates.create import KeyPair, create_self_signed
from kiteway.demo.guide import HOST, SERVICE, manifests, secret
from kiteway.files import write_atomic
from kiteway.gke import objects
from kiteway.gke.names import names
from kiteway.gke.options import DataPlane
from kiteway.gke.tradeoffs import COLUMNS, ROWS
from kiteway.gke.values import milvus_settings
from kiteway.milvus.embedded import MilvusEndpoint, StandaloneMilvus, TLSFiles
from kiteway.milvus.verify import FailureReason, Target, verify
from kiteway.probe import Endpoint, TlsOptions
from kiteway.probe.http import HttpResult, probe_http
from kiteway.probe.milvus import get_version
from kiteway.probe.tcp import probe_tcp
from tests.support.gke import live, release, wanted
from tests.support.kiteway import Running, tls_files, up
from tools.tls_clients.clients import clients
from tools.tls_clients.servers import guide_recipe

pytestmark = [pytest.mark.e2e, pytest.mark.milvus, pytest.mark.timeout(300)]

_REST = "/v1/vector/collections"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder whose path leaves room for unix sockets."""
    made = Path(tempfile.mkdtemp(prefix="kw-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def milvus() -> Iterator[MilvusEndpoint]:
    """Start a Milvus with ``tlsMode: 1`` and nothing else, as the guide does."""
    made = Path(tempfile.mkdtemp(prefix="kw-"))
    loop = asyncio.new_event_loop()
    server = StandaloneMilvus(made / "milvus", tls=tls_files(made, "backend", "localhost"))
    try:
        loop.run_until_complete(server.start())
        yield server.endpoint
    finally:
        loop.run_until_complete(server.stop())
        loop.close()
        shutil.rmtree(made, ignore_errors=True)


def _rest(port: int, *, tls: bool) -> HttpResult:
    options = TlsOptions(verify=False) if tls else None
    return asyncio.run(probe_http(Endpoint("127.0.0.1", port), _REST, tls=options))


def test_tls_mode_alone_takes_rest_away(milvus: MilvusEndpoint, folder: Path, free_port: Callable[[], int]) -> None:
    """
    Milvus 2.3.5 with ``tlsMode: 1`` answers gRPC and no REST (G1; 2.5 and later do not start at all); with
    the port that ``kiteway gke`` sets, REST answers again.
    """
    endpoint = Endpoint("127.0.0.1", milvus.port)
    assert asyncio.run(get_version(endpoint, tls=TlsOptions(verify=False))).version
    gone = _rest(milvus.port, tls=True)
    assert "json" not in (gone.content_type or ""), gone
    assert gone.status != 200

    settings = milvus_settings("", wanted())
    assert settings["common", "security", "tlsMode"] == 1
    assert settings["proxy", "http", "port"] == 8080

    async def beside() -> tuple[HttpResult, str | None]:
        port = free_port()
        files: TLSFiles = tls_files(folder, "backend", "localhost")
        async with StandaloneMilvus(folder / "milvus", tls=files, rest_port=port) as server:
            serving = Endpoint("127.0.0.1", server.endpoint.port)
            version = (await get_version(serving, tls=TlsOptions(verify=False))).version
            # Milvus serves that port with the same TLS.
            return await probe_http(Endpoint("127.0.0.1", port), _REST, tls=TlsOptions(verify=False)), version

    rest, version = asyncio.run(beside())
    assert version
    assert rest.status == 200, rest
    assert "json" in (rest.content_type or "")


def _arguments(folder: Path, milvus: MilvusEndpoint, pair: KeyPair, ports: tuple[int, int]) -> list[str]:
    """Return the arguments for the guide's manifests, word for word, with this certificate."""
    kept = folder / "manifests"
    shutil.copytree(manifests(), kept)
    write_atomic(kept / "secret.yaml", secret(pair), 0o600)
    return ["-f", str(kept), *_serving(milvus, ports)]


def _serving(milvus: MilvusEndpoint, ports: tuple[int, int]) -> list[str]:
    endpoint = f"{SERVICE}=127.0.0.1:{milvus.port},health={milvus.health_port}"
    arguments = ["--endpoint", endpoint, "--drain", "0"]
    return [*arguments, "--https-port", str(ports[0]), "--http-port", str(ports[1])]


def _ours(folder: Path, milvus: MilvusEndpoint, ports: tuple[int, int]) -> tuple[list[str], Path]:
    """Return the arguments for the objects that ``kiteway gke`` writes, and the certificate among them."""
    wish, made = wanted(), release()
    called = names(live(), made, wish)
    service = yaml.safe_load((manifests() / "service.yaml").read_text())
    service["metadata"]["annotations"]["cloud.google.com/backend-config"] = f'{{"default": "{called.backend_config}"}}'
    certificate = objects.tls_secret(called.certificate, "default", HOST)
    items: list[dict[str, Any]] = [
        objects.ingress(live(), wish, called),
        objects.backend_config(wish, called, "default"),
        certificate,
        service,
    ]
    kept = folder / "ours"
    kept.mkdir()
    write_atomic(kept / "all.yaml", yaml.safe_dump_all(items).encode(), 0o600)
    ca = folder / "ours.crt"
    ca.write_bytes(base64.b64decode(certificate["data"]["tls.crt"]))
    return ["-f", str(kept), *_serving(milvus, ports)], ca


def test_the_guides_certificate_is_no_certificate_to_go(
    milvus: MilvusEndpoint, folder: Path, free_port: Callable[[], int]
) -> None:
    """
    PyMilvus accepts the certificate of the guide's openssl commands, so the guide's own check passes, and Go
    refuses it (G6); both accept the one that ``kiteway gke`` makes.
    """
    go = clients()["Go, crypto/tls"]
    if go is None or shutil.which("openssl") is None:
        pytest.skip("go or openssl is not installed")
    ports = (free_port(), free_port())
    pair = guide_recipe(folder / "guide", HOST)
    with up(_arguments(folder, milvus, pair, ports), folder / "a") as running:
        running.wait_healthy(1)
        ca = folder / "guide" / "tls.crt"
        assert _verified(ports[0], ca)
        assert "legacy Common Name" in go(ports[0], {HOST: ca})[HOST]
    arguments, ca = _ours(folder, milvus, ports)
    with up(arguments, folder / "b") as running:
        running.wait_healthy(1)
        assert _verified(ports[0], ca)
        assert go(ports[0], {HOST: ca})[HOST] == "ok"


def _verified(port: int, ca: Path) -> bool:
    target = Target(host="127.0.0.1", port=port, ca=ca, server_name=HOST)
    return asyncio.run(verify(target)).verified


def test_port_80_stays_open(milvus: MilvusEndpoint, folder: Path, free_port: Callable[[], int]) -> None:
    """The guide's Ingress also serves its host in plaintext (G7); with that of ``kiteway gke`` port 80 is closed."""
    ports = (free_port(), free_port())
    plain = Endpoint(HOST, ports[1], connect_to="127.0.0.1")
    pair = create_self_signed([HOST])
    with up(_arguments(folder, milvus, pair, ports), folder / "a"):
        answer = asyncio.run(probe_http(plain, _REST))
        assert answer.failure is None
        assert answer.status is not None
        assert answer.status // 100 != 3, "it is no redirect"
    arguments, _ = _ours(folder, milvus, ports)
    with up(arguments, folder / "b") as running:
        running.wait_healthy(1)
        assert asyncio.run(probe_tcp(plain)).failure is not None


def test_an_address_needs_server_name(milvus: MilvusEndpoint, folder: Path, free_port: Callable[[], int]) -> None:
    """
    By IP address the guide's client connects only with ``server_name`` (G13), because the certificate is for
    a name.
    """
    ports = (free_port(), 0)
    pair = create_self_signed([HOST])
    ca = folder / "tls.crt"
    ca.write_bytes(pair.certificate)
    with up(_arguments(folder, milvus, pair, ports), folder / "a") as running:
        running.wait_healthy(1)
        assert _verified(ports[0], ca)
        report = asyncio.run(verify(Target(host="127.0.0.1", port=ports[0], ca=ca)))
    assert report.failure is not None
    assert report.failure.reason is FailureReason.CERTIFICATE_NAME


def test_nothing_on_this_path_caches_grpc(milvus: MilvusEndpoint, folder: Path, free_port: Callable[[], int]) -> None:
    """A gRPC answer has no header that lets an HTTP cache store it (G15), and the table of data planes says so."""
    ports = (free_port(), 0)
    pair = create_self_signed([HOST])
    with up(_arguments(folder, milvus, pair, ports), folder / "a") as running:
        running.wait_healthy(1)
        assert not _freshness(running, ports[0], pair)
    cells = {row[0]: dict(zip(COLUMNS[1:], row[1:], strict=True)) for row in ROWS}
    assert cells["Cache of searches"][DataPlane.GOOGLE] == "no"
    assert cells["Cache of searches"][DataPlane.KITEWAY].startswith("yes")


def _freshness(running: Running, port: int, pair: KeyPair) -> set[str]:
    """Return the header fields of RFC 9111 in an answer of Milvus's through the balancer."""
    credentials = grpc.ssl_channel_credentials(pair.certificate)
    options = [("grpc.ssl_target_name_override", HOST)]
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        call: Any = channel.unary_unary("/milvus.proto.milvus.MilvusService/GetVersion")
        _, done = call.with_call(b"", timeout=30)
        keys = {key for key, _ in done.initial_metadata()}
    return keys & {"cache-control", "expires", "etag", "last-modified", "age", "vary"}
