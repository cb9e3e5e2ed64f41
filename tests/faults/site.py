"""Kiteway before a real Milvus with TLS and a login, with an Ingress for each fault that is in manifests."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kiteway.certificates.create import create_authority, create_self_signed
from kiteway.files import write_atomic
from kiteway.milvus.embedded import StandaloneMilvus, Tuning
from tests.support.ingresses import PORT, ingress, secret, service
from tests.support.kiteway import Running, tls_files, up

TOKEN = "root:Milvus"
GOOD = "milvus.example.com"
NAMES = ("unrouted", "client", "path", "class", "dead", "empty", "gone", "plaintext", "check", "ports", "auth")
"""Hosts with the certificate of `GOOD`; what is wrong with each is in `_documents`."""


def host(name: str) -> str:
    """Return the host of a fault."""
    return f"{name}.example.com"


@dataclass(frozen=True)
class Site:
    """
    Everything that runs.

    Attributes:
        ports: the number of each port by the number that the page shows for it.
    """

    running: Running
    folder: Path
    ports: Mapping[int, int]

    @property
    def manifests(self) -> Path:
        """The folder that `kiteway up -f` reads."""
        return self.folder / "manifests"

    def shown(self, text: str) -> str:
        """Return a text with the ports and paths of the page in place of those of this run."""
        for number, port in self.ports.items():
            text = text.replace(str(port), str(number))
        for part in (f"{self.manifests}/", f"{self.folder}/"):
            text = text.replace(part, "")
        return text


HTTPS, HTTP, MILVUS, HEALTH, MUTE, CLOSED = 8443, 8080, PORT, 9091, 7000, 9999
"""The ports as the page shows them."""


def _annotated(document: dict[str, Any], **notes: str) -> dict[str, Any]:
    document["metadata"].setdefault("annotations", {}).update(notes)
    return document


def _service(name: str, **annotations: str) -> dict[str, Any]:
    return service(name=name, annotations={"cloud.google.com/backend-config": '{"default": "milvus"}', **annotations})


def _documents(
    pair: tuple[bytes, bytes], expired: tuple[bytes, bytes], ca: bytes
) -> dict[str, Sequence[dict[str, Any]]]:
    """Return the manifests by the name of their file."""
    backend_config = {
        "apiVersion": "cloud.google.com/v1",
        "kind": "BackendConfig",
        "metadata": {"name": "milvus"},
        "spec": {
            "healthCheck": {"type": "HTTP", "port": HEALTH, "requestPath": "/healthz", "checkIntervalSec": 1},
            "timeoutSec": 3600,
            "connectionDraining": {"drainingTimeoutSec": 60},
        },
    }
    redirect = {
        "apiVersion": "networking.gke.io/v1beta1",
        "kind": "FrontendConfig",
        "metadata": {"name": "redirect"},
        "spec": {"redirectToHttps": {"enabled": True}},
    }
    bundle = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "client-ca"},
        "stringData": {"ca.crt": ca.decode()},
    }
    path = ingress("path", [host("path")], ["milvus-tls"])
    path["spec"]["rules"][0]["http"]["paths"][0] |= {"path": "/milvus", "pathType": "Exact"}
    other = ingress("class", [host("class")], ["milvus-tls"])
    other["spec"]["ingressClassName"] = "nginx"
    ports = ingress("ports", [host("ports")], ["milvus-tls"])
    ports["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"] = {"number": 443}
    plaintext = _service("plaintext")
    del plaintext["metadata"]["annotations"]["cloud.google.com/app-protocols"]
    plaintext["spec"]["ports"][0]["appProtocol"] = "kubernetes.io/h2c"
    local = _annotated(
        ingress("localhost", ["localhost"], ["milvus-tls"]),
        **{"networking.gke.io/v1beta1.FrontendConfig": "redirect", "kubernetes.io/ingress.allow-http": "true"},
    )
    return {
        "milvus.yaml": [_service("milvus"), backend_config, ingress("milvus", [GOOD], ["milvus-tls"])],
        "secret.yaml": [secret("milvus-tls", pair)],
        "localhost.yaml": [redirect, local],
        "client.yaml": [
            bundle,
            _annotated(
                ingress("client", [host("client")], ["milvus-tls"]), **{"kiteway.io/client-ca-secret": "client-ca"}
            ),
        ],
        "expired.yaml": [secret("expired-tls", expired), ingress("expired", [host("expired")], ["expired-tls"])],
        "path.yaml": [path],
        "class.yaml": [other],
        "dead.yaml": [_service("dead"), ingress("dead", [host("dead")], ["milvus-tls"], service="dead")],
        "empty.yaml": [_service("empty"), ingress("empty", [host("empty")], ["milvus-tls"], service="empty")],
        "gone.yaml": [ingress("gone", [host("gone")], ["milvus-tls"], service="gone")],
        "ports.yaml": [ports],
        "keyless.yaml": [ingress("keyless", [host("keyless")], ["keyless-tls"])],
        "plaintext.yaml": [plaintext, ingress("plaintext", [host("plaintext")], ["milvus-tls"], service="plaintext")],
        "check.yaml": [_service("check"), ingress("check", [host("check")], ["milvus-tls"], service="check")],
    }


@contextlib.contextmanager
def mute(port: int) -> Iterator[None]:
    """Listen on a port of 127.0.0.1 and never answer."""
    with socket.create_server(("127.0.0.1", port)):
        yield


@contextlib.contextmanager
def running_site(free_port: Callable[[], int]) -> Iterator[Site]:
    """Start Milvus, Kiteway, and a server that says nothing."""
    # The path of a unix socket is short; pytest's folders are not.
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    backend = tls_files(folder, "backend", "localhost")
    pair = create_self_signed([GOOD, "localhost", host("keyless"), *map(host, NAMES)])
    expired = create_self_signed([host("expired")], days=30, now=dt.datetime.now(dt.UTC) - dt.timedelta(days=60))
    other = create_self_signed(["localhost"])
    (folder / "tls.crt").write_bytes(pair.certificate)
    (folder / "expired.crt").write_bytes(expired.certificate)
    (folder / "other.crt").write_bytes(other.certificate)
    documents = _documents(
        (pair.certificate, pair.key.reveal()),
        (expired.certificate, expired.key.reveal()),
        create_authority("Clients").certificate,
    )
    loop = asyncio.Runner()
    milvus = StandaloneMilvus(folder / "milvus", tls=backend, tuning=Tuning(authorization=True))
    loop.run(milvus.start())
    try:
        ports = {HTTPS: free_port(), HTTP: free_port(), MUTE: free_port(), CLOSED: free_port()}
        ports |= {MILVUS: milvus.endpoint.port, HEALTH: milvus.endpoint.health_port}
        (folder / "manifests").mkdir()
        for name, objects in documents.items():
            write_atomic(folder / "manifests" / name, yaml.safe_dump_all(objects, sort_keys=False).encode(), 0o600)
        good = f"127.0.0.1:{ports[MILVUS]},health={ports[HEALTH]}"
        arguments: list[str | Path] = ["-f", folder / "manifests", "--drain", "0"]
        arguments += ["--https-port", str(ports[HTTPS]), "--http-port", str(ports[HTTP])]
        arguments += ["--endpoint", f"milvus={good}", "--endpoint", f"plaintext={good}"]
        arguments += ["--endpoint", f"dead=127.0.0.1:{ports[CLOSED]},health={ports[CLOSED]}"]
        arguments += ["--endpoint", f"check=127.0.0.1:{ports[MILVUS]},health={ports[CLOSED]}"]
        with mute(ports[MUTE]), up(arguments, folder / "data") as running:
            running.wait_healthy(2)
            yield Site(running, folder, ports)
    finally:
        loop.run(milvus.stop())
        loop.close()
        shutil.rmtree(folder, ignore_errors=True)
