"""A balancer that serves every kind of certificate, each for its own host."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kiteway.certificates.create import KeyPair, create_authority, create_issued, create_self_signed
from kiteway.files import write_atomic
from kiteway.instance import Instance
from kiteway.model import PrivateKey
from kiteway.status.client import read_status

_READY_SECONDS = 60.0


@dataclass(frozen=True)
class Served:
    """
    A kind of certificate.

    Attributes:
        title: the column's heading.
        pairs: what is served, by Secret.
        ca: what clients trust, PEM.
    """

    title: str
    pairs: tuple[KeyPair, ...]
    ca: bytes


def kinds(folder: Path) -> dict[str, Served]:
    """Return what is served, by host."""
    found: dict[str, Served] = {}

    def add(label: str, title: str, *pairs: KeyPair, ca: bytes = b"") -> None:
        found[f"{label}.example.com"] = Served(title, pairs, ca or b"".join(p.certificate for p in pairs))

    def made(label: str, **options: Any) -> KeyPair:
        return create_self_signed([f"{label}.example.com"], **options)

    add("ecdsa", "ECDSA", made("ecdsa"))
    add("rsa", "RSA", made("rsa", key_type="RSA"))
    root = create_authority("CA")
    both = [create_issued(root, ["both.example.com"], key_type=kind) for kind in ("ECDSA", "RSA")]
    add("both", "ECDSA and RSA, by a CA of one's own", *both, ca=root.certificate)
    if shutil.which("openssl"):
        guide = guide_recipe(folder, "guide.example.com")
        add("guide", "The guide's openssl recipe", guide)
    old = dt.datetime.now(dt.UTC) - dt.timedelta(days=30)
    ended = create_authority("Old CA", now=old)
    add("expired", "Expired", create_issued(ended, ["expired.example.com"], days=10, now=old), ca=ended.certificate)
    return found


def guide_recipe(folder: Path, host: str) -> KeyPair:
    """Make a certificate with the commands of the guide, word for word but for the name."""
    commands = f"""
# Generates a tls.key.
openssl genrsa -out tls.key 2048

# Creates a certificate and signs it with the preceding key.
openssl req -new -key tls.key -out tls.csr \\
    -subj "/CN={host}"

openssl x509 -req -days 99999 -in tls.csr -signkey tls.key \\
    -out tls.crt
"""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["/bin/sh", "-euc", commands], cwd=folder, check=True, capture_output=True)
    return KeyPair((folder / "tls.crt").read_bytes(), PrivateKey((folder / "tls.key").read_bytes()))


@contextlib.contextmanager
def balancer() -> Iterator[tuple[int, dict[str, Served], dict[str, Path]]]:
    """Run ``kiteway up`` on loopback; give the port, what is served, and by host the file of its CA."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    try:
        served = kinds(folder / "guide")
        files = {host: folder / f"{host}.pem" for host in served}
        for host, file in files.items():
            file.write_bytes(served[host].ca)
        write_atomic(folder / "all.yaml", yaml.safe_dump_all(_manifests(served), sort_keys=False).encode(), 0o600)
        port = _free_port()
        command: list[str | Path] = [
            Path(sys.executable).with_name("kiteway"),
            "up",
            "-f",
            folder / "all.yaml",
            "--drain",
            "0",
        ]
        command += ["--https-port", str(port), "--http-port", "0", "--data-dir", folder / "data"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_ready(process, Instance(folder / "data"))
            yield port, served, files
        finally:
            process.terminate()
            process.wait(60)
    finally:
        shutil.rmtree(folder)


def _manifests(served: dict[str, Served]) -> list[dict[str, Any]]:
    backend = {"service": {"name": "milvus", "port": {"number": 19530}}}
    documents: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "milvus"},
            "spec": {"ports": [{"name": "milvus", "port": 19530}]},
        }
    ]
    for host, what in served.items():
        name = host.partition(".")[0]
        secrets = [f"{name}-{number}" for number in range(len(what.pairs))]
        for secret, pair in zip(secrets, what.pairs, strict=True):
            values = {"tls.crt": pair.certificate, "tls.key": pair.key.reveal()}
            data = {key: base64.b64encode(value).decode() for key, value in values.items()}
            documents.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}, "data": data})
        paths = [{"path": "/milvus.proto.milvus.MilvusService", "pathType": "Prefix", "backend": backend}]
        documents.append(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {"name": name, "annotations": {"kubernetes.io/ingress.allow-http": "false"}},
                "spec": {
                    "ingressClassName": "kiteway",
                    "tls": [{"secretName": secret} for secret in secrets],
                    "rules": [{"host": host, "http": {"paths": paths}}],
                },
            }
        )
    return documents


def _wait_ready(process: subprocess.Popen[bytes], instance: Instance) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    reason = "it does not answer"
    while process.poll() is None and time.monotonic() < deadline:
        if instance.status_socket.exists():
            status = read_status(instance)
            if status.ready:
                return
            reason = status.reason
        time.sleep(0.1)
    raise RuntimeError(f"kiteway up is not ready (exit status {process.poll()}): {reason}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
