"""Gives clients on this machine the file that they have to trust."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import Final

from kiteway.cli.connect import first_host, reached_at
from kiteway.files import write_atomic
from kiteway.instance import Instance
from kiteway.probe.result import Endpoint
from kiteway.probe.tls import probe_tls
from kiteway.probe.trust import TlsOptions
from kiteway.quickstart import certificate_file
from kiteway.report.status import Status

_FOLDER: Final = "certificates"
_LONGEST: Final = 200
"""Characters of a host in the name of a file; a name may have 255 bytes."""


async def own_file(endpoint: Endpoint, server_name: str | None, instance: Instance) -> Path | None:
    """
    Return the file that clients of a server have to trust, if it is one that ``instance`` wrote; None if it is not.

    Args:
        endpoint: the server.
        server_name: the name that clients send; None for the host.
        instance: where files are looked for; it need not run.
    """
    seen = await probe_tls(endpoint, TlsOptions(server_name=server_name, verify=False))
    if not seen.chain:
        return None
    pem = ssl.DER_cert_to_PEM_cert(seen.chain[0].der)
    written = (certificate_file(instance), *sorted((instance.state_dir / _FOLDER).glob("*.crt")))
    return next((file for file in written if _begins_with(file, pem)), None)


def _begins_with(file: Path, pem: str) -> bool:
    try:
        return file.read_text().startswith(pem.strip())
    except (OSError, UnicodeDecodeError):
        return False


async def self_signed_file(status: Status, instance: Instance) -> Path | None:
    """
    Write the certificate of the first host to a file if it is self-signed, and return the file.

    The certificate is taken from the listener, as any client could. None if a CA has signed it, or if the listener does
    not show it (behind a proxy that sends the PROXY protocol, for example).
    """
    found = first_host(status)
    if found is None:
        return None
    host, listener = found
    ours = [each.fingerprint for each in status.certificates if each.self_signed and not each.temporary]
    if not ours:
        return None
    endpoint = Endpoint(host, listener.port, connect_to=reached_at(listener.address))
    seen = await probe_tls(endpoint, TlsOptions(verify=False))
    if not seen.chain or hashlib.sha256(seen.chain[0].der).hexdigest() not in ours:
        return None
    folder = instance.state_dir / _FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / f"{host[:_LONGEST]}.crt"
    write_atomic(file, ssl.DER_cert_to_PEM_cert(seen.chain[0].der).encode())
    return file
