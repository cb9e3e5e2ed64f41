"""The certificate of a TLS server, by a handshake."""

from __future__ import annotations

import socket
import ssl

from cryptography import x509


def served(port: int, server_name: str | None, *, ciphers: str = "", version: ssl.TLSVersion | None = None) -> bytes:
    """
    Return the certificate (PEM) a handshake on 127.0.0.1 is answered with.

    Raises:
        ssl.SSLError: the handshake failed.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname=server_name) as tls,
    ):
        answer = tls.getpeercert(binary_form=True)
    assert answer is not None
    return ssl.DER_cert_to_PEM_cert(answer).encode()


def key_type(certificate: bytes) -> str:
    """Return the kind of a certificate's key: ``RSAPublicKey`` or ``ECPublicKey``."""
    return type(x509.load_pem_x509_certificate(certificate).public_key()).__name__
