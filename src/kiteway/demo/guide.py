"""Finds the guide's manifests."""

from __future__ import annotations

from pathlib import Path

import yaml

from kiteway.certificates.create import KeyPair

HOST = "my-release.milvus.io"
"""The domain name of the guide."""
SERVICE = "my-release-milvus"
SECRET = "my-release-milvus-tls"  # noqa: S105 - the name of a Secret
SERVING_PORT = 19530
HEALTH_PORT = 9091

_PACKAGED = Path(__file__).resolve().parent.parent / "_examples"
_CHECKOUT = Path(__file__).resolve().parents[3] / "examples"


class ExamplesMissingError(Exception):
    """The example manifests are not installed."""


def manifests(name: str = "guide-self-managed") -> Path:
    """Return the folder of an example: in the package, or in the checkout from which it is installed."""
    for folder in (_PACKAGED / name, _CHECKOUT / name):
        if folder.is_dir():
            return folder
    raise ExamplesMissingError(f"the example manifests {name} are not installed; reinstall the package kiteway")


def secret(pair: KeyPair) -> bytes:
    """Return ``kubectl create secret tls``'s Secret as a manifest."""
    document = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": "default"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": pair.certificate.decode(), "tls.key": pair.key.reveal().decode()},
    }
    return yaml.safe_dump(document, sort_keys=False).encode()
