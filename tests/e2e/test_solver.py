"""cert-manager's solver beside the Ingress whose certificate is issued: a CA's request reaches it on port 80."""

from __future__ import annotations

import http.server
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from kiteway.certificates.create import create_self_signed
from kiteway.demo.guide import secret
from kiteway.files import write_atomic
from tests.support.kiteway import up

pytestmark = pytest.mark.e2e

FIRST, REDIRECTED, CLOSED = "first.milvus.io", "redirected.milvus.io", "closed.milvus.io"
"""A host without a certificate yet, one that redirects to HTTPS, and one that closes port 80."""
WILDCARD, BELOW, BESIDE = "*.wild.milvus.io", "below.wild.milvus.io", "beside.wild.milvus.io"
"""A host that closes port 80 too, the name below it that the solver is for, and another one."""
CHALLENGE = "/.well-known/acme-challenge/tOkEn"
MAIN = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  annotations: {annotations}
spec:
  tls: [{{secretName: {secret}}}]
  rules:
  - host: "{host}"
    http:
      paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: milvus, port: {{number: 19530}}}}}}}}]
"""
SOLVER = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: cm-acme-http-solver-{name}
  labels: {{acme.cert-manager.io/http01-solver: "true"}}
spec:
  rules:
  - host: {host}
    http:
      paths:
      - path: /.well-known/acme-challenge/tOkEn
        pathType: ImplementationSpecific
        backend: {{service: {{name: solver, port: {{number: 8089}}}}}}
"""
REST = """
apiVersion: networking.gke.io/v1beta1
kind: FrontendConfig
metadata: {name: redirect}
spec: {redirectToHttps: {enabled: true}}
---
apiVersion: v1
kind: Service
metadata: {name: milvus}
spec: {ports: [{port: 19530}]}
---
apiVersion: v1
kind: Service
metadata: {name: solver}
spec: {type: NodePort, ports: [{name: http, port: 8089, targetPort: 8089}]}
"""
HOSTS = {
    "first": (FIRST, "missing", "{}"),
    "redirected": (REDIRECTED, "my-release-milvus-tls", "{networking.gke.io/v1beta1.FrontendConfig: redirect}"),
    "closed": (CLOSED, "my-release-milvus-tls", '{kubernetes.io/ingress.allow-http: "false"}'),
    "wildcard": (WILDCARD, "my-release-milvus-tls", '{kubernetes.io/ingress.allow-http: "false"}'),
}


class Ports(NamedTuple):
    """The ports of a running Kiteway."""

    http: int
    https: int


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"{self.path} of {self.headers['host']}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Stay silent."""


@pytest.fixture(scope="module")
def ports(free_port: Callable[[], int]) -> Iterator[Ports]:
    """Start a solver and Kiteway in front of it."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    data = folder.with_name(f"{folder.name}-data")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        write_atomic(folder / "secret.yaml", secret(create_self_signed([REDIRECTED, CLOSED, WILDCARD], [])), 0o600)
        documents = [REST]
        for name, (host, tls, annotations) in HOSTS.items():
            documents.append(MAIN.format(name=name, host=host, secret=tls, annotations=annotations))
            documents.append(SOLVER.format(name=name, host=BELOW if host == WILDCARD else host))
        (folder / "manifests.yaml").write_text("---".join(documents))
        found = Ports(free_port(), free_port())
        arguments = ["-f", folder, "--http-port", found.http, "--https-port", found.https, "--drain", "1"]
        arguments += ["--endpoint", f"solver=127.0.0.1:{server.server_port}", "--endpoint", "milvus=127.0.0.1:1"]
        with up(list(map(str, arguments)), data) as running:
            running.wait_healthy(1)
            yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        shutil.rmtree(folder)
        shutil.rmtree(data, ignore_errors=True)


@pytest.fixture
def port(ports: Ports) -> int:
    """Return the HTTP port."""
    return ports.http


def _get(port: int, host: str, path: str) -> httpx2.Response:
    return httpx2.get(f"http://127.0.0.1:{port}{path}", headers={"host": host}, trust_env=False, verify=False)


@pytest.mark.parametrize("host", [FIRST, REDIRECTED, CLOSED, BELOW])
def test_a_challenge_reaches_the_solver(port: int, host: str) -> None:
    """Before there is a certificate, past a redirect, past a closed port 80, and for a name below a wildcard."""
    answer = _get(port, host, CHALLENGE)
    assert (answer.status_code, answer.text) == (200, f"{CHALLENGE} of {host}")


@pytest.mark.parametrize(("host", "status"), [(FIRST, 503), (REDIRECTED, 301), (CLOSED, 404), (BELOW, 404)])
@pytest.mark.parametrize("path", ["/", "/.well-known/acme-challenge/other", f"{CHALLENGE}/x"])
def test_every_other_path_is_the_hosts_own(port: int, host: str, status: int, path: str) -> None:
    """Only the one path is the solver's; everything else is served, redirected or refused as before."""
    assert _get(port, host, path).status_code == status


def test_a_challenge_is_for_one_name_of_a_wildcard(port: int) -> None:
    """Another name of the wildcard does not get the solver's answer."""
    assert _get(port, BESIDE, CHALLENGE).status_code == 404


def test_a_solver_takes_no_name_from_a_wildcard(ports: Ports) -> None:
    """Over TLS the name is still the wildcard's, whose Milvus is down here: the solver's Ingress has no certificate."""
    with httpx2.Client(verify=False, trust_env=False) as client:
        answer = client.get(
            f"https://127.0.0.1:{ports.https}/", headers={"host": BELOW}, extensions={"sni_hostname": BELOW}
        )
    assert answer.status_code == 503
