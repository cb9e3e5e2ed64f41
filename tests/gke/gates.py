"""Google's webhook, which injects its readiness gate into new Pods."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import ssl
import threading
from collections.abc import Iterator

import trustme

from kiteway.gke.rollout import READINESS_GATE
from tests.gke.site import SERVICE, Site

_PATCH = [{"op": "add", "path": "/spec/readinessGates", "value": [{"conditionType": READINESS_GATE}]}]


@contextlib.contextmanager
def gates(site: Site) -> Iterator[None]:
    """Inject the gate as GKE does: into proxies that are created once their Service has endpoint groups."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(site))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"https://127.0.0.1:{server.server_port}/"
    site.cluster.apply(_configuration(url, authority.cert_pem.bytes()))
    try:
        yield
    finally:
        site.kubectl("delete", "mutatingwebhookconfiguration", "neg-readiness-gates")
        server.shutdown()
        server.server_close()
        thread.join(10)


def _configuration(url: str, ca: bytes) -> dict[str, object]:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    hook = {
        "name": "pod-ready.config.test",
        "clientConfig": {"url": url, "caBundle": base64.b64encode(ca).decode()},
        "rules": [rule],
        "objectSelector": {"matchLabels": {"component": "proxy"}},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "neg-readiness-gates"},
        "webhooks": [hook],
    }


def _handler(site: Site) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer: dict[str, object] = {"uid": review["request"]["uid"], "allowed": True}
            service = site.cluster.get("service", SERVICE)
            if "cloud.google.com/neg-status" in service["metadata"].get("annotations", {}):
                patch = base64.b64encode(json.dumps(_PATCH).encode()).decode()
                answer |= {"patchType": "JSONPatch", "patch": patch}
            body = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": answer}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
