"""Looks for secrets in everything that an instance writes and shows."""

from __future__ import annotations

import base64
import urllib.request
from collections.abc import Sequence

import httpx2

from tests.support.kiteway import Running

_ADMIN_PAGES = ("/config_dump?include_eds", "/stats", "/clusters", "/listeners")


def places_with_secrets(running: Running, metrics: str, secrets: Sequence[str]) -> list[str]:
    """
    Return the places that hold one of the secrets, in clear or in base64, as gRPC's metadata have them.

    Looked at are the files of the data directory, the page of metrics, and the pages of Envoy's admin socket.
    """
    plain = [secret.encode() for secret in secrets]
    wanted = plain + [base64.b64encode(secret) for secret in plain]
    with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=10) as response:
        texts = {"metrics": response.read()}
    texts |= {str(file): file.read_bytes() for file in running.instance.data_dir.rglob("*") if file.is_file()}
    texts[str(running.log)] = running.log.read_bytes()
    transport = httpx2.HTTPTransport(uds=str(running.instance.admin_socket), verify=False)
    with httpx2.Client(transport=transport, base_url="http://envoy") as client:
        texts |= {path: client.get(path).content for path in _ADMIN_PAGES}
    assert len(texts) > 10
    return [where for where, text in texts.items() if any(secret in text for secret in wanted)]
