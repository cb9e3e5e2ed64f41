"""The TLS options of a probe and the CAs it trusts: the same as gRPC's own client."""

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from kiteway.probe.result import Endpoint

ALPN_PROTOCOLS = ("h2", "http/1.1")


class TrustFileError(ValueError):
    """A certificate or key file cannot be used; the text is a sentence for the user."""


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """The TLS settings for a server."""

    server_name: str | None = None
    """Name to ask for (SNI) and to find in the certificate; the endpoint's host if None."""
    ca: Path | None = None
    """PEM file to trust; the machine's own roots if None."""
    ca_text: str | None = None
    """PEM certificates to trust in place of a file."""
    client_cert: Path | None = None
    client_key: Path | None = None
    client_pem: bytes | None = field(default=None, repr=False)
    """The certificate and its key in PEM, in place of the two files."""
    verify: bool = True
    """False: accept any certificate, in order to read it."""
    any_name: bool = False
    """Whether a certificate with another name is accepted, too."""

    def name(self, endpoint: Endpoint) -> str:
        """The name the certificate must be for."""
        return self.server_name or endpoint.host

    def context(self) -> ssl.SSLContext:
        """A client context with these options.

        TLS 1.2 at least, a listed certificate is an anchor even if it is no CA, and the common
        name counts when there is no SAN: gRPC's client does the same.

        Raises:
            TrustFileError: a file is missing or not PEM, or the client certificate cannot be used.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        context.set_alpn_protocols(list(ALPN_PROTOCOLS))
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif self.ca_text is not None:
            context.load_verify_locations(cadata=self.ca_text)
        elif self.ca is not None:
            _load(context.load_verify_locations, self.ca, "PEM certificates")
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        if self.any_name:
            context.check_hostname = False
        if self.client_cert is not None:
            key = self.client_key
            _load(
                lambda path: context.load_cert_chain(path, key),
                self.client_cert,
                "a PEM certificate with its key",
            )
        if self.client_pem is not None:
            _load_pem(context, self.client_pem)
        return context


def _load_pem(context: ssl.SSLContext, pem: bytes) -> None:
    # The ssl module reads only files; this one is in memory, and only this process has it.
    with os.fdopen(os.memfd_create("client-certificate"), "wb") as file:
        file.write(pem)
        file.flush()
        try:
            # The password keeps OpenSSL from asking for one.
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password="")
        except ssl.SSLError as error:
            msg = f"the client certificate cannot be used: {error.reason or error}"
            raise TrustFileError(msg) from None


def _load(load: Callable[[Path], object], path: Path, what: str) -> None:
    try:
        load(path)
    except ssl.SSLError as error:
        msg = f"{path} does not hold {what}: {error.reason or error}"
        raise TrustFileError(msg) from None
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise TrustFileError(msg) from None


def grpc_default_roots() -> Path:
    """The root certificates a gRPC client in Python trusts when it is given none.

    Not the machine's: the file named by ``GRPC_DEFAULT_SSL_ROOTS_FILE_PATH``, else the list inside
    the ``grpcio`` package (gRPC's documented order in ``doc/environment_variables.md``).
    """
    configured = os.environ.get("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")
    if configured:
        return Path(configured)
    return Path(str(resources.files("grpc") / "_cython" / "_credentials" / "roots.pem"))
