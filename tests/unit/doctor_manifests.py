"""Manifests and Helm values without a mistake; a test edits them."""

from __future__ import annotations

import base64
import datetime as dt
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kiteway.doctor import Manifests, read_manifests

HOST = "my-release.milvus.io"
NOW = dt.datetime(2026, 1, 15, tzinfo=dt.UTC)

APP_PROTOCOLS = "cloud.google.com/app-protocols"
BACKEND_CONFIG = "cloud.google.com/backend-config"
NEG = "cloud.google.com/neg"
ALLOW_HTTP = "kubernetes.io/ingress.allow-http"
INGRESS_CLASS = "kubernetes.io/ingress.class"
STATIC_IP = "kubernetes.io/ingress.global-static-ip-name"
FRONTEND_CONFIG = "networking.gke.io/v1beta1.FrontendConfig"
MANAGED = "networking.gke.io/managed-certificates"
REST_PORT = "kiteway.io/rest-port"
CLIENT_CERTIFICATE = "kiteway.io/backend-client-certificate-secret"


def key_pair(
    *names: str, common_name: str = HOST, days: int = 365, not_before: dt.datetime = NOW, server_auth: bool = True
) -> tuple[bytes, bytes]:
    """Return a self-signed certificate and its key in PEM; without names it has only the common name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    usage = ExtendedKeyUsageOID.SERVER_AUTH if server_auth else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1000)
        .not_valid_before(not_before)
        .not_valid_after(not_before + dt.timedelta(days=days))
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    )
    if names:
        san = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(san, critical=False)
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate, private


def _object(api_version: str, kind: str, name: str, **parts: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **parts}


class Files:
    """The guide's manifests as they should be, and the values of the chart; change them and `read`."""

    def __init__(self) -> None:
        self.ingress = _object("networking.k8s.io/v1", "Ingress", "milvus")
        self.ingress["metadata"]["annotations"] = {ALLOW_HTTP: "false", STATIC_IP: "milvus"}
        self.path: dict[str, Any] = {
            "path": "/",
            "pathType": "Prefix",
            "backend": {"service": {"name": "milvus", "port": {"number": 19530}}},
        }
        self.rule: dict[str, Any] = {"host": HOST, "http": {"paths": [self.path]}}
        self.ingress["spec"] = {"tls": [{"secretName": "tls"}], "rules": [self.rule]}
        self.service = _object("v1", "Service", "milvus")
        self.service["metadata"]["annotations"] = {
            APP_PROTOCOLS: '{"milvus":"HTTP2"}',
            BACKEND_CONFIG: '{"default": "milvus"}',
            NEG: '{"ingress": true}',
            REST_PORT: "8080",
        }
        self.service["spec"] = {"type": "ClusterIP", "ports": [{"name": "milvus", "port": 19530}]}
        self.config = _object("cloud.google.com/v1", "BackendConfig", "milvus")
        self.config["spec"] = {
            "timeoutSec": 3600,
            "connectionDraining": {"drainingTimeoutSec": 60},
            "healthCheck": {"port": 9091, "requestPath": "/healthz", "type": "HTTP"},
        }
        self.secret = _object("v1", "Secret", "tls", type="kubernetes.io/tls")
        self.serve(*key_pair(HOST))
        self.extra: list[dict[str, Any]] = []
        self.user: dict[str, Any] = {
            "common": {"security": {"tlsMode": 1}},
            "tls": {"serverPemPath": "/milvus/tls/tls.crt", "serverKeyPath": "/milvus/tls/tls.key"},
            "proxy": {"http": {"port": 8080}},
        }
        self.values: dict[str, Any] = {
            "service": {"type": "ClusterIP", "annotations": {APP_PROTOCOLS: "", BACKEND_CONFIG: "", NEG: ""}},
            "proxy": {"replicas": 2, "volumeMounts": [{"name": "tls", "mountPath": "/milvus/tls"}]},
        }
        self.user_yaml: Any = None
        """Put in place of `user` when it is set."""

    @property
    def annotations(self) -> dict[str, Any]:
        """Those of the Ingress."""
        found: dict[str, Any] = self.ingress["metadata"]["annotations"]
        return found

    @property
    def service_annotations(self) -> dict[str, Any]:
        """Those of the Service."""
        found: dict[str, Any] = self.service["metadata"]["annotations"]
        return found

    def serve(self, certificate: bytes, key: bytes) -> None:
        """Put a certificate and its key into the Secret."""
        self.secret["data"] = {
            "tls.crt": base64.b64encode(certificate).decode(),
            "tls.key": base64.b64encode(key).decode(),
        }

    def add(self, api_version: str, kind: str, name: str, **parts: Any) -> None:
        """Add another object."""
        self.extra.append(_object(api_version, kind, name, **parts))

    def read(self, folder: Path, now: dt.datetime = NOW) -> Manifests:
        """Write the files and read them as doctor does."""
        objects = [self.ingress, self.service, self.config, self.secret, *self.extra]
        (folder / "manifests.yaml").write_text(yaml.safe_dump_all(objects))
        text = yaml.safe_dump(self.user) if self.user_yaml is None else self.user_yaml
        values = {**self.values, "extraConfigFiles": {"user.yaml": text}}
        (folder / "values.yaml").write_text(yaml.safe_dump(values))
        return read_manifests([folder], now)
