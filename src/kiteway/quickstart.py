"""`kiteway up --to`: the manifests of somebody who has none yet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kiteway.certificates.create import KeyPair, create_self_signed
from kiteway.certificates.names import covers, is_address
from kiteway.certificates.x509 import CertificateError, inspect
from kiteway.files import write_atomic
from kiteway.instance import Instance
from kiteway.model import PrivateKey
from kiteway.probe import BackendFacts, detect
from kiteway.sources.static import StaticEndpoint

NAME = "milvus"
NAMESPACE = "default"
SECRET = f"{NAME}-tls"


class QuickstartError(Exception):
    """There is no Milvus to stand in front of, or no name for it; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Quickstart:
    """
    What was found and made.

    Attributes:
        manifests: a folder (0700) with the manifests, the Secret among them.
        endpoint: the Milvus.
        notes: what a user should know, a sentence each.
    """

    manifests: Path
    endpoint: StaticEndpoint
    notes: tuple[str, ...]


def quickstart(
    instance: Instance, host: str, port: int, names: Sequence[str], *, own_certificate: bool = True
) -> Quickstart:
    """
    Look at the Milvus at ``host:port`` and write manifests for it.

    A certificate is made for ``names``, or localhost, unless there is one already (not ``own_certificate``). It is
    kept: clients that trust it go on after a restart.

    Raises:
        QuickstartError: it cannot be reached, or a name is none.
        OSError: the data directory cannot be written.
    """
    facts = asyncio.run(detect(host, port))
    if not facts.reachable:
        raise QuickstartError(f"there is no Milvus at {host}:{port}: {facts.reason}")
    if facts.mutual_tls:
        raise QuickstartError(f"the Milvus at {host}:{port} cannot be used: {facts.reason}")
    folder = instance.state_dir / "quickstart"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if own_certificate and not names:
        names = ["localhost"]
    pair = _certificate(folder, names) if own_certificate else None
    manifests = folder / "manifests"
    manifests.mkdir(mode=0o700, exist_ok=True)
    documents = _documents(facts, port, [n for n in names if not is_address(n)], pair)
    write_atomic(manifests / "milvus.yaml", yaml.safe_dump_all(documents, sort_keys=False).encode(), 0o600)
    return Quickstart(
        manifests,
        StaticEndpoint(NAMESPACE, NAME, host, port, facts.health_port),
        _notes(facts, host, port, folder / "tls.crt" if pair else None),
    )


def _certificate(folder: Path, names: Sequence[str]) -> KeyPair:
    certificate, key = folder / "tls.crt", folder / "tls.key"
    try:
        known = inspect(certificate.read_bytes(), key.read_bytes())
        if all(covers(known.names, name) for name in names):
            return KeyPair(certificate.read_bytes(), PrivateKey(key.read_bytes()))
    except (OSError, CertificateError):
        pass
    hosts = [name for name in names if not is_address(name)]
    ips = [name for name in names if is_address(name)] + ["127.0.0.1", "::1"]
    try:
        pair = create_self_signed(hosts, list(dict.fromkeys(ips)))
    except ValueError as error:
        raise QuickstartError(str(error)) from error
    write_atomic(key, pair.key.reveal(), 0o600)
    write_atomic(certificate, pair.certificate)
    return pair


def _documents(facts: BackendFacts, port: int, hosts: Sequence[str], pair: KeyPair | None) -> list[dict[str, Any]]:
    metadata = {"name": NAME, "namespace": NAMESPACE}
    notes = {"cloud.google.com/neg": '{"ingress": true}'}
    if facts.tls:
        notes["cloud.google.com/app-protocols"] = '{"milvus": "HTTP2"}'
    documents: list[dict[str, Any]] = []
    if facts.health_port is not None:
        notes["cloud.google.com/backend-config"] = f'{{"default": "{NAME}"}}'
        check = {"type": "HTTP", "port": facts.health_port, "requestPath": facts.health_path}
        check |= {"checkIntervalSec": 5, "timeoutSec": 3}
        documents.append(
            {
                "apiVersion": "cloud.google.com/v1",
                "kind": "BackendConfig",
                "metadata": metadata,
                "spec": {"healthCheck": check, "connectionDraining": {"drainingTimeoutSec": 60}},
            }
        )
    backend = {"service": {"name": NAME, "port": {"number": port}}}
    documents += [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata | {"annotations": notes},
            "spec": {"type": "ClusterIP", "ports": [{"name": "milvus", "port": port, "targetPort": port}]},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": metadata | {"annotations": {"kubernetes.io/ingress.allow-http": "false"}},
            "spec": {
                "tls": [{"secretName": SECRET}],
                # Whoever stands in front of one Milvus means all that comes in, by whatever name.
                "defaultBackend": backend,
                "rules": [
                    {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
                    for host in hosts
                ],
            },
        },
    ]
    if pair is not None:
        documents.append(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": SECRET, "namespace": NAMESPACE},
                "type": "kubernetes.io/tls",
                "stringData": {"tls.crt": pair.certificate.decode(), "tls.key": pair.key.reveal().decode()},
            }
        )
    return documents


def _notes(facts: BackendFacts, host: str, port: int, certificate: Path | None) -> tuple[str, ...]:
    version = f"Milvus {facts.milvus_version}" if facts.milvus_version else "a Milvus"
    health = (
        f"health is asked at {facts.health_port}{facts.health_path}"
        if facts.health_port is not None
        else "its health port cannot be reached, so only the serving port is checked"
    )
    notes = [f"found {version} at {host}:{port} {'with' if facts.tls else 'without'} TLS; {health}"]
    if facts.reason:
        notes.append(f"note: {facts.reason}")
    if certificate is not None:
        notes.append(f"clients trust {certificate} (server_pem_path)")
    return tuple(notes)
