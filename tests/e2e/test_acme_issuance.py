"""ManagedCertificates from Provisioning to Active, on a real CA and a real Envoy."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import re
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kiteway.acme.temporary import ORGANIZATION
from kiteway.certificates.create import create_self_signed
from kiteway.milvus.embedded import StandaloneMilvus, TLSFiles
from tests.support.kiteway import KITEWAY, wait_until
from tests.support.pebble import HOST, Pebble, fingerprint, managed_up, organization, served

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

FreePort = Callable[[], int]


@pytest.fixture
def pebble(tmp_path: Path, free_port: FreePort) -> Iterator[Pebble]:
    """Return a CA that refuses a fifth of the nonces and takes its time."""
    with Pebble(tmp_path / "ca", free_port) as ca:
        yield ca


def plain(folder: Path) -> None:
    """Leave the guide's manifests as they are."""


def without_http(folder: Path) -> None:
    """Close port 80 for the guide's Ingress."""
    ingress = folder / "ingress.yaml"
    text = ingress.read_text()
    ingress.write_text(
        text.replace("  annotations:\n", '  annotations:\n    kubernetes.io/ingress.allow-http: "false"\n')
    )


def redirecting(folder: Path) -> None:
    """Send everything on port 80 to HTTPS."""
    ingress = folder / "ingress.yaml"
    text = ingress.read_text()
    ingress.write_text(
        text.replace("  annotations:\n", "  annotations:\n    networking.gke.io/v1beta1.FrontendConfig: redirect\n")
    )
    (folder / "frontendconfig.yaml").write_text(
        "apiVersion: networking.gke.io/v1beta1\nkind: FrontendConfig\nmetadata: {name: redirect, namespace: default}\n"
        "spec: {redirectToHttps: {enabled: true}}\n"
    )


def listening(port: int) -> bool:
    """Tell whether the HTTP listener is there."""
    try:
        httpx2.get(f"http://127.0.0.1:{port}/", headers={"Host": HOST}, trust_env=False)
    except httpx2.HTTPError:
        return False
    return True


@pytest.mark.parametrize(
    ("edit", "open_afterwards"),
    [(plain, True), (redirecting, True), (without_http, False)],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_http_01(tmp_path: Path, pebble: Pebble, edit: Callable[[Path], None], *, open_afterwards: bool) -> None:
    """
    The guide's manifests become Active by HTTP-01, in spite of redirects and a closed port 80, which closes
    again.
    """
    with managed_up(tmp_path, pebble, edit=edit) as running:
        managed = running.until_certificate("Active")
        certificate = served(pebble.tls_port, pebble.roots())
        wait_until(lambda: listening(pebble.http_port) is open_afterwards, "port 80 is as it was")

    assert managed["domainStatus"] == [{"domain": HOST, "status": "Active", "message": ""}]
    assert re.fullmatch(r"mcrt-[0-9a-f-]{36}", managed["certificateName"])
    assert managed["fingerprint"] == fingerprint(certificate)
    assert dt.datetime.fromisoformat(managed["expireTime"]) == certificate.not_valid_after_utc
    assert len(pebble.requests("POST /finalize-order/")) >= 1
    assert "Attempting to validate w/ HTTP" in (tmp_path / "ca/pebble.log").read_text()


def test_tls_alpn_01(tmp_path: Path, pebble: Pebble) -> None:
    """Without a port for HTTP they become Active by TLS-ALPN-01."""
    with managed_up(tmp_path, pebble, http_port=0) as running:
        managed = running.until_certificate("Active")

        assert managed["fingerprint"] == fingerprint(served(pebble.tls_port, pebble.roots()))

    assert "Attempting to validate w/ HTTP" not in (tmp_path / "ca/pebble.log").read_text()


@pytest.mark.parametrize("http_port", [None, 0], ids=["http-01", "tls-alpn-01"])
def test_behind_a_proxy_that_speaks_the_proxy_protocol(tmp_path: Path, pebble: Pebble, http_port: int | None) -> None:
    """
    Kiteway's own test of the challenge sends the header that its listeners require, before the CA is asked to
    validate.
    """
    with managed_up(tmp_path, pebble, "--proxy-protocol", http_port=http_port) as running:
        # The CA itself speaks no such header here, so that is as far as it comes.
        failed = running.until_domain("FailedNotVisible")

    assert "the CA says:" in failed["message"]


def test_nothing_is_asked_before_the_terms_are_accepted(tmp_path: Path, pebble: Pebble) -> None:
    """
    Without accepted terms a marked temporary certificate is served, the status says why, and no request goes
    to the CA.
    """
    before = len(pebble.requests())
    with managed_up(tmp_path, pebble, accept=False) as running:
        managed = running.status()
        temporary = served(pebble.tls_port)
        diagnostics = [d["reason"] for d in running.running.status()["diagnostics"]]

    assert (managed["certificateStatus"], managed["domainStatus"][0]["status"]) == ("Provisioning", "Provisioning")
    assert "--acme-accept-terms and --acme-contact" in managed["fix"]
    assert managed["expireTime"] is None
    assert organization(temporary) == ORGANIZATION
    assert "ManagedCertificateProvisioning" in diagnostics
    assert len(pebble.requests()) == before

    with managed_up(tmp_path, pebble) as running:
        running.until_certificate("Active")

        assert organization(served(pebble.tls_port, pebble.roots())) == ""


def test_a_restart_asks_the_ca_for_nothing(tmp_path: Path, pebble: Pebble) -> None:
    """After a restart the stored certificate is served at once, without a request to the CA."""
    with managed_up(tmp_path, pebble) as running:
        first = running.until_certificate("Active")
        wait_until(
            lambda: any(tmp_path.glob("data/state/acme/*/certificates/*/*/renewal")), "the CA was asked for its wish"
        )
    before = len(pebble.requests())
    with managed_up(tmp_path, pebble) as running:
        second = running.status()
        certificate = served(pebble.tls_port, pebble.roots())

    assert second["certificateStatus"] == "Active"
    assert second["fingerprint"] == first["fingerprint"] == fingerprint(certificate)
    assert len(pebble.requests()) == before


def test_keys_are_private(tmp_path: Path, pebble: Pebble) -> None:
    """Files with keys are 0600 in folders of 0700, and no key is in a log, the status or a command line."""
    with managed_up(tmp_path, pebble) as running:
        running.until_certificate("Active")
        shown = str(running.running.status())
        pids = [running.running.process.pid, *(running.running.child(name)[0] for name in ("controlplane", "envoy"))]
        shown += "".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in pids)

    state = tmp_path / "data/state/acme"
    files = [path for path in state.rglob("*") if path.is_file()]
    with_key = [path for path in files if b"PRIVATE KEY" in path.read_bytes()]
    assert {path.name for path in with_key} == {"account", "certificate"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in state.rglob("*") if path.is_dir()} == {0o700}
    logs = "".join(path.read_text() for path in (tmp_path / "data/logs").iterdir())
    assert "PRIVATE KEY" not in shown + logs


def test_external_account_binding(tmp_path: Path, free_port: FreePort) -> None:
    """A CA that requires a binding refuses an account without one, which is reported, and accepts one with it."""
    key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    file = tmp_path / "eab.key"
    file.write_text(f"{key}\n")
    settings = {"externalAccountBindingRequired": True, "externalAccountMACKeys": {"kid-1": key}}
    with Pebble(tmp_path / "ca", free_port, settings=settings) as pebble:
        with managed_up(tmp_path, pebble) as running:
            refused = running.until_certificate("ProvisioningFailedPermanently")
        with managed_up(
            tmp_path / "bound", pebble, "--acme-eab-kid", "kid-1", "--acme-eab-key-file", str(file)
        ) as running:
            running.until_certificate("Active")
            argv = Path(f"/proc/{running.running.process.pid}/cmdline").read_text()

    assert "--acme-eab-kid" in refused["fix"]
    assert key not in argv


@pytest.mark.milvus
def test_the_guides_second_form(tmp_path: Path, pebble: Pebble) -> None:
    """PyMilvus connects to a real Milvus without server_pem_path, because gRPC's own roots contain the CA."""
    asyncio.run(_connects_without_a_file(tmp_path, pebble))


async def _connects_without_a_file(tmp_path: Path, pebble: Pebble) -> None:
    pair = create_self_signed(["milvus"])
    files = TLSFiles(tmp_path / "milvus.crt", tmp_path / "milvus.key")
    files.cert.write_bytes(pair.certificate)
    files.key.write_bytes(pair.key.reveal())
    async with StandaloneMilvus(tmp_path / "milvus", tls=files) as milvus:
        backend = f"127.0.0.1:{milvus.endpoint.port},health={milvus.endpoint.health_port}"
        with managed_up(tmp_path, pebble, backend=backend) as running:
            await asyncio.to_thread(running.until_certificate, "Active")
            await asyncio.to_thread(running.running.wait_healthy, 1)
            # gRPC reads its roots once in the life of a process.
            untrusted = await asyncio.to_thread(verified, pebble.tls_port, {})
            trusted = await asyncio.to_thread(
                verified, pebble.tls_port, {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(pebble.roots())}
            )

    assert untrusted["failure"]["reason"] == "Certificate"
    assert trusted["failure"] is None
    assert trusted["verified"] is True


def verified(port: int, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run ``kiteway verify`` for the guide's host, without a CA file; return its report."""
    command = [str(KITEWAY), "verify", f"127.0.0.1:{port}", "--server-name", HOST, "--output", "json"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environment}
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report
