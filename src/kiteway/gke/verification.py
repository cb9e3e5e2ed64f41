"""Verifying the new endpoint, as the guide does, with PyMilvus."""

from __future__ import annotations

import base64
import shlex
from pathlib import Path

from kiteway.gke.live import ClusterReading, balancer_address, dig
from kiteway.gke.names import names
from kiteway.gke.options import CertificateKind, GkeOptions
from kiteway.milvus.verify import OnStep, Target, VerifyReport, verify
from kiteway.probe import parse_endpoint


class NotReadyError(Exception):
    """There is nothing to verify yet; the message says what is missing."""


def target(
    live: ClusterReading, wanted: GkeOptions, folder: Path, *, address: str | None = None, ca: Path | None = None
) -> Target:
    """
    Return the target of the verification: the Ingress's address, and the name that clients use.

    Args:
        live: a reading.
        wanted: the options.
        folder: the folder for the certificate to trust, which is read from its Secret.
        address: the address to use instead of the Ingress's.
        ca: the certificate to trust instead of the Secret's.

    Raises:
        NotReadyError: the Ingress has no address, or there is no certificate to trust.
        ValueError: ``address`` is invalid.
    """
    if live.release is None:
        raise NotReadyError("the Helm release does not exist.")
    called = names(live, live.release, wanted)
    text = address or balancer_address(live.get("Ingress", wanted.namespace, called.ingress))
    if text is None:
        raise NotReadyError("the Ingress has no address yet.")
    endpoint = parse_endpoint(text, 443)
    if ca is None and wanted.certificate is CertificateKind.SELF_MANAGED:
        pem = dig(live.get("Secret", wanted.namespace, called.certificate), "data", "tls.crt")
        if pem is None:
            raise NotReadyError(f"the Secret {called.certificate} is not there.")
        ca = folder / "tls.crt"
        ca.write_bytes(base64.b64decode(pem))
    return Target(host=endpoint.host, port=endpoint.port, ca=ca, server_name=wanted.host)


async def run_verification(where: Target, on_step: OnStep) -> VerifyReport:
    """Verify; see `kiteway.milvus.verify`."""
    return await verify(where, on_step=on_step)


def as_command(where: Target) -> str:
    """Return the command with which a user can do the same."""
    words = [
        "kiteway",
        "verify",
        f"{where.host}:{where.port}",
        *(("--server-name", where.server_name) if where.server_name else ()),
    ]
    return shlex.join([*words, *(("--ca", str(where.ca)) if where.ca else ())])
