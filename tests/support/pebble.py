"""A real ACME server (Debian's pebble), the DNS it looks into, and an instance of Kiteway in front of both."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx2
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from tests.support.kiteway import Running, up, wait_until
from tools import debian

HOST = "my-release.milvus.io"
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "guide-google-managed"


@dataclass
class Pebble:
    """
    One CA with its DNS server.

    Attributes:
        folder: its files: configuration, log, roots.
        free_port: gives the ports.
        settings: more of pebble's configuration.
        environment: pebble's variables.
        answers: whether the DNS server also answers HTTP-01, in the place of a balancer.
        port: of the ACME server.
        management: of pebble's management interface.
        dns: of the DNS server.
        dns_management: of the interface by which names are set.
        http_port: where it validates HTTP-01.
        tls_port: where it validates TLS-ALPN-01.
    """

    folder: Path
    free_port: Callable[[], int]
    settings: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    answers: bool = False
    port: int = field(init=False)
    management: int = field(init=False)
    dns: int = field(init=False)
    dns_management: int = field(init=False)
    http_port: int = field(init=False)
    tls_port: int = field(init=False)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.port, self.management, self.dns, self.dns_management, self.http_port, self.tls_port = (
            self.free_port() for _ in range(6)
        )

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        ca = trustme.CA()
        leaf = ca.issue_cert("localhost", "127.0.0.1")
        ca.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        (self.folder / "server.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(self.folder / "server.key"))
        self.start_dns()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._processes):
            self._end(name)

    @property
    def directory(self) -> str:
        """The URL to give to --acme-directory."""
        return f"https://localhost:{self.port}/dir"

    @property
    def ca_file(self) -> Path:
        """The roots that the ACME server itself is verified by."""
        return self.folder / "ca.pem"

    def start(self) -> None:
        """Start the CA; it has forgotten everything."""
        config = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(self.folder / "server.pem"),
            "privateKey": str(self.folder / "server.key"),
            "httpPort": self.http_port,
            "tlsPort": self.tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
            **self.settings,
        }
        (self.folder / "pebble.json").write_text(json.dumps({"pebble": config}))
        program = debian.programs("pebble")["pebble"]
        environment = {"PEBBLE_WFE_NONCEREJECT": "20", "PEBBLE_VA_SLEEPTIME": "1", **self.environment}
        self._run(
            "pebble",
            [program, "-config", self.folder / "pebble.json", "-dnsserver", f"127.0.0.1:{self.dns}"],
            environment,
        )
        wait_until(self._answers, "pebble answers")

    def stop(self) -> None:
        """End the CA; its DNS goes on."""
        self._end("pebble")

    def start_dns(self) -> None:
        """Start the DNS server: every name is at 127.0.0.1 and has no AAAA record."""
        program = debian.programs("pebble")["pebble-challtestsrv"]
        http = f"127.0.0.1:{self.http_port}" if self.answers else ""
        none = ["-http01", http, "-https01", "", "-tlsalpn01", ""]
        addresses = ["-dns01", f"127.0.0.1:{self.dns}", "-management", f"127.0.0.1:{self.dns_management}"]
        self._run("dns", [program, *addresses, *none, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""], {})
        wait_until(lambda: self.set_dns("set-default-ipv6", {"ip": ""}), "the DNS server answers")

    def set_dns(self, what: str, value: Mapping[str, Any]) -> bool:
        """Set records; see pebble-challtestsrv's management interface."""
        url = f"http://127.0.0.1:{self.dns_management}/{what}"
        try:
            with httpx2.Client(verify=False, timeout=5, trust_env=False) as client:
                return client.post(url, json=dict(value)).is_success
        except httpx2.HTTPError:
            return False

    def requests(self, text: str = "") -> list[str]:
        """Return the lines of the CA's log that name a request and hold ``text``."""
        lines = (self.folder / "pebble.log").read_text(errors="replace").splitlines()
        return [line for line in lines if ("POST /" in line or "GET /" in line or "HEAD /" in line) and text in line]

    def orders(self) -> int:
        """Return how many orders the CA has taken since the fixture began."""
        return (self.folder / "pebble.log").read_text(errors="replace").count('Added order "')

    def accounts(self) -> int:
        """Return how many accounts the CA has made since the fixture began."""
        return (self.folder / "pebble.log").read_text(errors="replace").count("accounts in memory")

    def roots(self) -> Path:
        """Return a file with the root of the certificates it issues."""
        file = self.folder / "roots.pem"
        file.write_bytes(self._get(f"https://localhost:{self.management}/roots/0"))
        return file

    def _answers(self) -> bool:
        try:
            return bool(self._get(self.directory))
        except httpx2.HTTPError:
            return False

    def _get(self, url: str) -> bytes:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        with httpx2.Client(verify=context, timeout=5, trust_env=False) as client:
            return client.get(url).raise_for_status().content

    def _run(self, name: str, command: list[Any], environment: Mapping[str, str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
            )

    def _end(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is not None:
            process.terminate()
            process.wait(10)


@dataclass
class Managed:
    """A running ``kiteway up`` with the guide's ManagedCertificate."""

    running: Running
    manifests: Path

    def status(self) -> dict[str, Any]:
        """Return the status of the one ManagedCertificate."""
        found: list[dict[str, Any]] = self.running.status()["managedCertificates"]
        assert len(found) == 1
        return found[0]

    def until(self, condition: Callable[[dict[str, Any]], object], what: str, limit: float = 120.0) -> dict[str, Any]:
        """Wait until the status fulfils ``condition``; return it."""
        last: dict[str, Any] = {}

        def look() -> bool:
            nonlocal last
            last = self.status()
            return bool(condition(last))

        wait_until(look, what, limit)
        return last

    def until_certificate(self, status: str, limit: float = 120.0) -> dict[str, Any]:
        """Wait for a ``certificateStatus``."""
        return self.until(lambda found: found["certificateStatus"] == status, f"certificateStatus {status}", limit)

    def until_domain(self, status: str, limit: float = 120.0) -> dict[str, Any]:
        """Wait for a ``domainStatus``."""
        return self.until(lambda found: found["domainStatus"][0]["status"] == status, f"domainStatus {status}", limit)


@contextlib.contextmanager
def managed_up(
    folder: Path,
    pebble: Pebble,
    *options: str,
    http_port: int | None = None,
    backend: str = "127.0.0.1:9",
    accept: bool = True,
    edit: Callable[[Path], None] = lambda _: None,
) -> Iterator[Managed]:
    """Run ``kiteway up`` on the guide's manifests until the context ends; twice on one folder is a restart."""
    manifests = folder / "manifests"
    if not manifests.exists():
        shutil.copytree(EXAMPLE, manifests)
        edit(manifests)
    acme = ["--acme-directory", pebble.directory, "--acme-ca", str(pebble.ca_file)]
    acme += ["--acme-resolver", f"127.0.0.1:{pebble.dns}"]
    if accept:
        acme += ["--acme-accept-terms", "--acme-contact", "admin@milvus.io"]
    port = pebble.http_port if http_port is None else http_port
    ports = ["--https-port", str(pebble.tls_port), "--http-port", str(port)]
    endpoint = ["--endpoint", f"my-release-milvus={backend}"]
    with up(["-f", manifests, *ports, *endpoint, *acme, *options, "--drain", "1"], folder / "data") as running:
        yield Managed(running, manifests)


def served(port: int, roots: Path | None = None, host: str = HOST) -> x509.Certificate:
    """Return the certificate that answers for a host now, verified if there are ``roots``."""
    context = ssl.create_default_context(cafile=str(roots) if roots else None)
    if roots is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        found = connection.getpeercert(binary_form=True)
        assert found is not None
        return x509.load_der_x509_certificate(found)


def fingerprint(certificate: x509.Certificate) -> str:
    """Return its SHA-256 as ``kiteway status`` writes it."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def organization(certificate: x509.Certificate) -> str:
    """Return the subject's O; empty when there is none."""
    found = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(found[0].value) if found else ""
