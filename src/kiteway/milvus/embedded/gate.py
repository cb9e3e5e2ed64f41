"""The check that a Milvus cluster works: create, insert, and a Strong search through every proxy.

A program (`python -m kiteway.milvus.embedded.gate CERT_OR_EMPTY PORT...`), because PyMilvus
opens its own sockets and can be in a network namespace only as a whole process. `/healthz`
and the gRPC health check succeed even while the message broker is unreachable; this check fails then.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from cryptography import x509

from kiteway.milvus.embedded.config import FIRST_USER

_COLLECTION = "kiteway_ready"
_DIMENSION = 2
_CALL_SECONDS = 30.0


def check(ports: list[int], certificate: Path | None) -> None:
    """Write a row through the first port and read it through every port; the collection is dropped at the end.

    Raises:
        Exception: whatever PyMilvus raises, or RuntimeError when a proxy does not see the row.
    """
    clients = [_client(port, certificate) for port in ports]
    writer = clients[0]
    vector = [1.0] * _DIMENSION
    writer.create_collection(
        _COLLECTION, dimension=_DIMENSION, metric_type="L2", consistency_level="Strong", timeout=_CALL_SECONDS
    )
    try:
        writer.insert(_COLLECTION, [{"id": 1, "vector": vector}], timeout=_CALL_SECONDS)
        for port, client in zip(ports, clients, strict=True):
            found = client.search(_COLLECTION, [vector], limit=1, timeout=_CALL_SECONDS)[0]
            if [hit["id"] for hit in found] != [1]:
                raise RuntimeError(f"the proxy on port {port} does not see a row that was just written")
    finally:
        writer.drop_collection(_COLLECTION, timeout=_CALL_SECONDS)
        for client in clients:
            client.close()


def _client(port: int, certificate: Path | None) -> Any:
    from pymilvus import MilvusClient

    if certificate is None:
        return MilvusClient(uri=f"http://127.0.0.1:{port}", token=FIRST_USER, timeout=_CALL_SECONDS)
    return MilvusClient(
        uri=f"https://127.0.0.1:{port}",
        token=FIRST_USER,
        server_pem_path=str(certificate),
        server_name=_certified_name(certificate),
        timeout=_CALL_SECONDS,
    )


def _certified_name(certificate: Path) -> str:
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return next(str(name.value) for name in names)


if __name__ == "__main__":
    check([int(port) for port in sys.argv[2:]], Path(sys.argv[1]) if sys.argv[1] else None)
