"""TLS of the web page: its certificate, and the CA of its readers' certificates, read again when a file changes."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

import msgspec

from kiteway.certificates.x509 import CertificateError, inspect, read_bundle
from kiteway.files import read_secret

_MOST_BYTES = 1 << 20
"""The most bytes of a file: what a Secret may hold."""


class TLSFiles(msgspec.Struct, frozen=True):
    """
    The files of the page's TLS, PEM.

    Attributes:
        certificate: the page's certificate chain.
        key: its key.
        client_ca: the CAs whose certificates open the page; None: no certificate does.
    """

    certificate: str
    key: str
    client_ca: str | None = None

    def context(self) -> ssl.SSLContext:
        """
        Return what a connection begins with.

        Raises:
            ValueError: a file cannot be used; the message says what to do.
        """
        key = read_secret(Path(self.key), "the key", "--dashboard-key", _MOST_BYTES)
        try:
            inspect(_content(self.certificate, "--dashboard-certificate"), key)
        except CertificateError as error:
            raise ValueError(
                f"{self.certificate} of --dashboard-certificate and {self.key} of --dashboard-key: {error.message} {error.fix}"
            ) from error
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # With a ticket a client would be known by a certificate that has expired meanwhile.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
        try:
            # The password keeps OpenSSL from asking for one.
            context.load_cert_chain(self.certificate, self.key, password="")
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{self.certificate} of --dashboard-certificate and {self.key} of --dashboard-key cannot be used: {error}"
            ) from error
        if self.client_ca is not None:
            try:
                bundle = read_bundle(_content(self.client_ca, "--dashboard-client-ca"))
            except CertificateError as error:
                raise ValueError(f"{self.client_ca} of --dashboard-client-ca: {error.message} {error.fix}") from error
            context.load_verify_locations(cadata=bundle)
            # A reader without one can have the token.
            context.verify_mode = ssl.CERT_OPTIONAL
        return context

    @property
    def state(self) -> tuple[tuple[int, ...], ...]:
        """A value that changes with the files, as Kubernetes, certbot and editors change them."""
        return tuple(map(_state, filter(None, (self.certificate, self.key, self.client_ca))))


class NewestTLS:
    """
    What each new connection begins with.

    Two files cannot be replaced at the same instant: while they cannot be used, those that were read before stay in force.
    """

    def __init__(self, files: TLSFiles) -> None:
        """Read the files. Raises ``ValueError``."""
        self._files = files
        self._state = files.state
        self._context = files.context()

    def __call__(self) -> ssl.SSLContext:
        """Return the context of the files as they are now, or as they were when they could be used."""
        if (state := self._files.state) != self._state:
            self._state = state
            try:
                self._context = self._files.context()
            except ValueError as error:
                sys.stderr.write(f"the page's certificate stays as it was: {error}\n")
        return self._context


def _state(file: str) -> tuple[int, ...]:
    try:
        found = Path(file).stat()
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode)


def _content(file: str, option: str) -> bytes:
    try:
        with Path(file).open("rb") as opened:
            return opened.read(_MOST_BYTES)
    except OSError as error:
        raise ValueError(f"the file {file} of {option} cannot be read: {error.strerror or error}") from error
