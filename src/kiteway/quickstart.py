"""`kiteway up --to`: makes the manifests for a Milvus that runs already."""

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
from kiteway.probe.result import join_host_port
from kiteway.sources.static import StaticEndpoint

NAME = "milvus"
NAMESPACE = "default"
SECRET = f"{NAME}-tls"


_CERTIFICATE = "tls.crt"
_KEY = "tls.key"


class QuickstartError(Exception):
    """No Milvus was found, or a name is invalid; the message says what to do."""


@dataclass(frozen=True, slots=True)
class MilvusTarget:
    """
    A Milvus that runs already, as ``--to`` names it.

    Attributes:
        host: an address, or a name.
        port: its gRPC port.
        health_port: where its health answers.
        find_health: whether to look for a health port; with neither, only the serving port is checked.
    """

    host: str
    port: int
    health_port: int | None = None
    find_health: bool = True

    def __str__(self) -> str:
        return join_host_port(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Quickstart:
    """
    The result: the Milvus that was found, and the manifests for it.

    Attributes:
        manifests: a folder (0700) with the manifests, the Secret among them.
        endpoints: the Milvus, one or several proxies of it.
        notes: what a user should know, a sentence each.
        certificate: the file that clients trust; None if the user gave a certificate.
    """

    manifests: Path
    endpoints: tuple[StaticEndpoint, ...]
    notes: tuple[str, ...]
    certificate: Path | None


def quickstart(
    instance: Instance,
    targets: Sequence[MilvusTarget],
    names: Sequence[str],
    *,
    own_certificate: bool = True,
    predecessor: Instance | None = None,
) -> Quickstart:
    """
    Probe the Milvus at ``targets`` and write manifests for it.

    Unless ``own_certificate``, a certificate for ``names`` (or localhost) is made or used again if there is one, also a
    predecessor's, so that clients that trust it can go on. Of several targets some may be unreachable.

    Raises:
        QuickstartError: no target can be reached, one cannot be used, some use TLS and others do not, or a name is
            invalid.
        OSError: the data directory cannot be written.
    """
    facts = asyncio.run(_look(targets))
    there = [(target, found) for target, found in zip(targets, facts, strict=True) if found.reachable]
    if not there:
        seen = "; ".join(f"{target}: {found.reason}" for target, found in zip(targets, facts, strict=True))
        raise QuickstartError(f"there is no Milvus at {seen}")
    for target, found in there:
        if found.mutual_tls:
            raise QuickstartError(f"the Milvus at {target} cannot be used: {found.reason}")
        if found.other_protocol:
            raise QuickstartError(
                f"{target} is not a gRPC port: {found.reason}. Give Milvus's gRPC port, usually 19530"
            )
    tls = _alike(there)
    # A pool has one kind of check: the health ports are checked only if every endpoint has one.
    by_health = all(found.health_port is not None for found in facts)
    folder = _folder(instance)
    before = _folder(predecessor) if predecessor is not None else None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if own_certificate and not names:
        names = ["localhost"]
    pair = _certificate(folder, before, names) if own_certificate else None
    manifests = folder / "manifests"
    manifests.mkdir(mode=0o700, exist_ok=True)
    hosts = [name for name in names if not is_address(name)]
    check = _check(facts[0]) if by_health else None
    documents = _documents(targets[0].port, hosts, pair, check, tls=tls)
    write_atomic(manifests / "milvus.yaml", yaml.safe_dump_all(documents, sort_keys=False).encode(), 0o600)
    return Quickstart(
        manifests,
        tuple(
            StaticEndpoint(NAMESPACE, NAME, target.host, target.port, found.health_port if by_health else None)
            for target, found in zip(targets, facts, strict=True)
        ),
        _notes(targets, facts, by_health=by_health),
        folder / _CERTIFICATE if pair else None,
    )


def certificate_file(instance: Instance) -> Path:
    """Return the file of the certificate that Kiteway makes for ``up --to`` without ``--tls``; it need not be there."""
    return _folder(instance) / _CERTIFICATE


def _folder(instance: Instance) -> Path:
    return instance.state_dir / "quickstart"


async def _look(targets: Sequence[MilvusTarget]) -> list[BackendFacts]:
    # One after the other: the connections of one probe must not change the count at another target's health port.
    return [await detect(t.host, t.port, health_port=t.health_port, find_health=t.find_health) for t in targets]


def _alike(there: Sequence[tuple[MilvusTarget, BackendFacts]]) -> bool:
    """Return whether all use TLS; raise QuickstartError if only some do."""
    kinds = {found.tls: target for target, found in there}
    if len(kinds) > 1:
        raise QuickstartError(
            f"{kinds[True]} uses TLS and {kinds[False]} does not: all endpoints of one Milvus must use the same"
        )
    return there[0][1].tls


def _check(facts: BackendFacts) -> dict[str, Any]:
    check = {"type": "HTTP", "port": facts.health_port, "requestPath": facts.health_path}
    return check | {"checkIntervalSec": 2, "timeoutSec": 2}


def _certificate(folder: Path, before: Path | None, names: Sequence[str]) -> KeyPair:
    """Return the stored certificate and key in ``folder``, else in ``before``, if they are for ``names``; or make new ones."""
    for place in filter(None, (folder, before)):
        pair = _kept(place, names)
        if pair is not None:
            break
    else:
        pair = _make(names)
    write_atomic(folder / _KEY, pair.key.reveal(), 0o600)
    write_atomic(folder / _CERTIFICATE, pair.certificate)
    return pair


def _kept(folder: Path, names: Sequence[str]) -> KeyPair | None:
    try:
        pair = KeyPair((folder / _CERTIFICATE).read_bytes(), PrivateKey((folder / _KEY).read_bytes()))
        known = inspect(pair.certificate, pair.key.reveal())
    except (OSError, CertificateError):
        return None
    return pair if all(covers(known.names, name) for name in names) else None


def _make(names: Sequence[str]) -> KeyPair:
    hosts = [name for name in names if not is_address(name)]
    ips = [name for name in names if is_address(name)] + ["127.0.0.1", "::1"]
    try:
        return create_self_signed(hosts, list(dict.fromkeys(ips)))
    except ValueError as error:
        raise QuickstartError(str(error)) from error


def _documents(
    port: int, hosts: Sequence[str], pair: KeyPair | None, check: dict[str, Any] | None, *, tls: bool
) -> list[dict[str, Any]]:
    metadata = {"name": NAME, "namespace": NAMESPACE}
    notes = {"cloud.google.com/neg": '{"ingress": true}'}
    if tls:
        notes["cloud.google.com/app-protocols"] = '{"milvus": "HTTP2"}'
    documents: list[dict[str, Any]] = []
    if check is not None:
        notes["cloud.google.com/backend-config"] = f'{{"default": "{NAME}"}}'
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
                # With one Milvus behind it the balancer serves every host name.
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


def _notes(targets: Sequence[MilvusTarget], facts: Sequence[BackendFacts], *, by_health: bool) -> tuple[str, ...]:
    notes: list[str] = []
    for target, found in zip(targets, facts, strict=True):
        if not found.reachable:
            notes.append(f"note: {target} cannot be reached now, and gets calls as soon as it can: {found.reason}")
            continue
        if found.milvus_version:
            seen = f"found Milvus {found.milvus_version} at"
        else:
            # Otherwise the note says what answers there.
            seen = "found a Milvus at" if found.needs_auth else "calls go to"
        if by_health:
            health = f"health is checked at {found.health_port}{found.health_path}"
        else:
            health = "it is healthy when this port accepts connections"
        notes.append(f"{seen} {target} {'with' if found.tls else 'without'} TLS; {health}")
        if found.reason:
            notes.append(f"note: {found.reason}")
    known = [found for found in facts if found.health_port is not None]
    if known and not by_health:
        notes.append(
            "note: not every endpoint has a known health port, so only serving ports are checked; give each health=PORT"
        )
    return tuple(notes)
