"""`kiteway up --to`: the detection of a Milvus, and the manifests for it."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
from pathlib import Path
from typing import Any

import pytest
import yaml

import kiteway.quickstart
from kiteway.certificates.create import create_self_signed
from kiteway.cli.targets import parse_targets
from kiteway.diagnostics import Diagnostic, Severity
from kiteway.envoy.settings import EnvoySettings
from kiteway.instance import Instance
from kiteway.model import Endpoint
from kiteway.pipeline.pipeline import Pipeline
from kiteway.probe import detect
from kiteway.quickstart import NAME, NAMESPACE, SECRET, MilvusTarget, Quickstart, QuickstartError, quickstart
from kiteway.sources.certificate_files import CertificateFiles, CertificateFileSource
from kiteway.sources.files import FileSource
from kiteway.translate import Options
from tests.unit.probe_servers import GET_VERSION, HOST, VERSION_ANSWER, Authority, grpc_server, http1, serving, silence

TARGET = "127.0.0.1"
POLICY = """
apiVersion: kiteway.io/v1alpha1
kind: MilvusPolicy
metadata: {name: tenants}
spec:
  targetRefs: [{kind: Service, name: milvus}]
  limits: [{by: [user], requestsPerSecond: 20}]
"""


def test_targets_are_read() -> None:
    """The port has a default; health is detected, given, or none."""
    assert parse_targets(["milvus", "10.0.0.5:19531,health=9092", "[::1]:7,health=none"]) == (
        MilvusTarget("milvus", 19530),
        MilvusTarget("10.0.0.5", 19531, 9092, find_health=False),
        MilvusTarget("::1", 7, None, find_health=False),
    )


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["milvus,health=0"], '"health=0" in "milvus,health=0" is not health=PORT or health=none'),
        (["milvus,health"], "is not health=PORT or health=none"),
        (["milvus,9091"], "is not health=PORT or health=none"),
        (["milvus", "milvus:19530"], "--to milvus:19530 is given twice"),
        (["http://milvus"], "without a scheme"),
    ],
)
def test_an_invalid_target_is_an_error(texts: list[str], said: str) -> None:
    """The error has the wrong part and the allowed values."""
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        parse_targets(texts)


def start(folder: Path, *targets: MilvusTarget) -> tuple[Quickstart, list[dict[str, Any]]]:
    """Look at the targets; return what was found and the manifests."""
    instance = Instance(folder)
    found = quickstart(instance, targets, [])
    return found, list(yaml.safe_load_all((found.manifests / "milvus.yaml").read_text()))


def diagnosed(
    found: Quickstart, certificate: CertificateFileSource | None = None, paths: tuple[Path, ...] = ()
) -> tuple[Diagnostic, ...]:
    """Return the diagnostics of an instance that serves what was found, the certificate of --tls, and the files of -f."""
    content = FileSource((found.manifests, *paths)).read()
    if certificate is not None:
        content = certificate.add_to(content)
    endpoints = {(NAMESPACE, NAME): tuple(Endpoint(e.host, e.port) for e in found.endpoints)}
    pipeline = Pipeline(EnvoySettings(http_port=None, fail_open=True), own_manifests=str(found.manifests))
    options = Options(http_port=False, gke=False)
    return pipeline.run(content, endpoints, dt.datetime.now(dt.UTC), options).diagnostics


def closed_port() -> int:
    """Return a port on which no process listens."""

    async def used() -> int:
        async with serving(silence) as port:
            return port

    return asyncio.run(used())


def test_several_targets_are_one_service(tmp_path: Path) -> None:
    """Each target is an endpoint with its own ports, and the check uses the health ports if each endpoint has one."""
    with grpc_server({GET_VERSION: VERSION_ANSWER}) as one, grpc_server({GET_VERSION: VERSION_ANSWER}) as two:
        found, documents = start(
            tmp_path,
            MilvusTarget(TARGET, one, 9191, find_health=False),
            MilvusTarget(TARGET, two, 9192, find_health=False),
        )

    assert [(e.host, e.port, e.health_port) for e in found.endpoints] == [(TARGET, one, 9191), (TARGET, two, 9192)]
    assert {e.service for e in found.endpoints} == {"milvus"}
    (config,) = (d for d in documents if d["kind"] == "BackendConfig")
    assert config["spec"]["healthCheck"]["port"] == 9191
    assert sum("no health answer on port 919" in note for note in found.notes) == 2


def test_one_without_a_health_port_leaves_the_check_to_the_serving_ports(tmp_path: Path) -> None:
    """A pool has one kind of check; a note says that the health ports are not used."""
    with grpc_server({GET_VERSION: VERSION_ANSWER}) as one, grpc_server({GET_VERSION: VERSION_ANSWER}) as two:
        found, documents = start(
            tmp_path,
            MilvusTarget(TARGET, one, 9191, find_health=False),
            MilvusTarget(TARGET, two, find_health=False),
        )

    assert [e.health_port for e in found.endpoints] == [None, None]
    assert not [d for d in documents if d["kind"] == "BackendConfig"]
    assert any("not every endpoint has a known health port" in note for note in found.notes)


def test_one_that_is_away_is_taken_along(tmp_path: Path) -> None:
    """A proxy that cannot be reached does not prevent the start, and gets calls when it is back."""
    away = closed_port()
    with grpc_server({GET_VERSION: VERSION_ANSWER}) as there:
        found, _ = start(
            tmp_path,
            MilvusTarget(TARGET, away, 9191, find_health=False),
            MilvusTarget(TARGET, there, 9192, find_health=False),
        )

    assert [(e.port, e.health_port) for e in found.endpoints] == [(away, 9191), (there, 9192)]
    assert any(note.startswith(f"note: {TARGET}:{away} cannot be reached now") for note in found.notes)


def test_a_server_that_says_nothing_is_not_called_a_milvus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notes say where calls go and what answers there, and claim no Milvus."""
    monkeypatch.setattr(kiteway.quickstart, "detect", functools.partial(detect, timeout=1))

    async def look() -> Quickstart:
        async with serving(silence) as port:
            found, _ = await asyncio.to_thread(start, tmp_path, MilvusTarget(TARGET, port, None, find_health=False))
            return found

    notes = asyncio.run(look()).notes

    assert notes[0].startswith("calls go to 127.0.0.1:")
    assert notes[1].startswith("note: no Milvus answers there")


def test_no_reachable_target_is_an_error(tmp_path: Path) -> None:
    """The error has the result of each target."""
    ports = closed_port(), closed_port()
    with pytest.raises(QuickstartError, match="there is no Milvus at ") as caught:
        start(tmp_path, *(MilvusTarget(TARGET, port) for port in ports))
    assert all(f"{TARGET}:{port} refused the TCP connection" in str(caught.value) for port in ports)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("200 OK", "this is the port of Milvus's health check (/healthz answers); Milvus serves gRPC on another port"),
        (
            "404 Not Found",
            (
                "no Milvus answers there: the server answers HTTP/2 with 'HTTP/1.1 404 Not Found'; the server does not "
                "speak TLS on this port (HTTP/1.x in plaintext)"
            ),
        ),
    ],
)
def test_a_port_of_another_protocol_is_an_error(tmp_path: Path, status: str, said: str) -> None:
    """Such a port never serves a call, so the user must not be told that Kiteway is ready."""

    async def used() -> str:
        async with serving(http1(status, b"OK")) as port:
            with pytest.raises(QuickstartError) as raised:
                await asyncio.to_thread(start, tmp_path, MilvusTarget(TARGET, port, find_health=False))
        return str(raised.value).replace(str(port), "PORT")

    assert asyncio.run(used()) == (f"{TARGET}:PORT is not a gRPC port: {said}. Give Milvus's gRPC port, usually 19530")


def test_objects_of_the_user_join_those_of_kiteway(tmp_path: Path) -> None:
    """A policy for the Service milvus has effect; another name is an error that names that Service."""
    with grpc_server({GET_VERSION: VERSION_ANSWER}) as port:
        found, _ = start(tmp_path, MilvusTarget(TARGET, port, find_health=False))
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    assert diagnosed(found, paths=(policy,)) == ()
    policy.write_text(POLICY.replace("name: milvus", "name: my-milvus"))
    (wrong,) = diagnosed(found, paths=(policy,))

    assert wrong.reason == "PolicyTargetNotFound"
    assert wrong.fix == "Correct the name: there is milvus."


def test_targets_with_and_without_tls_are_an_error(tmp_path: Path) -> None:
    """All endpoints of a Service use TLS, or none does."""
    credentials = Authority(tmp_path).grpc_credentials(HOST)
    with (
        grpc_server({GET_VERSION: VERSION_ANSWER}) as plain,
        grpc_server({GET_VERSION: VERSION_ANSWER}, credentials) as tls,
        pytest.raises(QuickstartError, match=f"{TARGET}:{tls} uses TLS and {TARGET}:{plain} does not"),
    ):
        start(tmp_path / "data", *(MilvusTarget(TARGET, port, find_health=False) for port in (plain, tls)))


def test_a_successor_takes_the_certificate_over(tmp_path: Path) -> None:
    """Clients trust the predecessor's certificate already; for other names a new one is made."""
    instances = [Instance(tmp_path / name) for name in ("old", "new", "other")]
    with grpc_server({GET_VERSION: VERSION_ANSWER}) as port:
        target = [MilvusTarget(TARGET, port, find_health=False)]
        quickstart(instances[0], target, ["a.example.org"])
        quickstart(instances[1], target, ["a.example.org"], predecessor=instances[0])
        quickstart(instances[2], target, ["b.example.org"], predecessor=instances[0])

    old, new, other = ((i.state_dir / "quickstart/tls.crt").read_bytes() for i in instances)
    assert new == old
    assert other != old
    assert (instances[1].state_dir / "quickstart/tls.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("health", [False, True])
def test_no_advice_is_given_about_its_own_manifests(tmp_path: Path, *, tls: bool, health: bool) -> None:
    """What GKE would make of them is no concern of a user of --to."""
    credentials = Authority(tmp_path).grpc_credentials(HOST) if tls else None
    with grpc_server({GET_VERSION: VERSION_ANSWER}, credentials) as port:
        found, _ = start(tmp_path, MilvusTarget(TARGET, port, 9191 if health else None, find_health=False))
    assert diagnosed(found) == ()


def test_warnings_about_the_users_certificate_are_shown(tmp_path: Path) -> None:
    """A renewal that writes a key of another certificate must not go unseen until the certificate expires."""
    with grpc_server({GET_VERSION: VERSION_ANSWER}) as port:
        found, _ = start(tmp_path, MilvusTarget(TARGET, port, find_health=False))
    pair, other = create_self_signed(["localhost"], []), create_self_signed(["localhost"], [])
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(pair.certificate)
    key.write_bytes(pair.key.reveal())
    source = CertificateFileSource((CertificateFiles(NAMESPACE, SECRET, str(chain), str(key)),))
    assert not diagnosed(found, source)
    key.write_bytes(other.key.reveal())
    (shown,) = diagnosed(found, source)

    assert shown.severity is Severity.WARNING
    assert shown.message.endswith("The last pair that fitted is served on.")
