"""The user's settings for the CA."""

from __future__ import annotations

import importlib.util
import re

import msgspec

from kiteway.extras import install_command

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"


class AcmeConfig(msgspec.Struct, frozen=True):
    """
    The CA and the account at it.

    Attributes:
        directory: the URL of the CA's directory.
        accept_terms: whether the user accepts the CA's terms of service.
        contact: the e-mail address of the account.
        ca_file: a PEM file with the roots that verify the CA's own server; None for the public roots.
        eab_kid: the key identifier of an external account binding; empty for none.
        eab_key_file: the file that holds its MAC key, base64url. The configuration never holds the key itself.
        resolver: the DNS server (``HOST`` or ``HOST:PORT``) for the look-ups before an order; empty for the system's.
    """

    directory: str = LETS_ENCRYPT
    accept_terms: bool = False
    contact: str = ""
    ca_file: str | None = None
    eab_kid: str = ""
    eab_key_file: str | None = None
    resolver: str = ""

    @property
    def blocked(self) -> tuple[str, str] | None:
        """Return why Kiteway may not contact the CA yet, and what to do; None when it may."""
        if importlib.util.find_spec("acme") is None or importlib.util.find_spec("dns") is None:
            return "Kiteway is installed without its extra for ACME.", f"Install it: {install_command('acme')}."
        given = {"--acme-accept-terms": self.accept_terms, "--acme-contact EMAIL": bool(self.contact)}
        missing = [option for option, there in given.items() if not there]
        if not missing:
            return None
        return (
            f"Kiteway contacts the CA {self.directory} only after its terms are accepted and a contact is given.",
            f"Read the CA's terms of service, then give {' and '.join(missing)}.",
        )

    @property
    def issuer_key(self) -> str:
        """Return the CA's folder in the storage: each CA has its own accounts and orders."""
        return re.sub(r"[^A-Za-z0-9.]+", "-", self.directory.partition("://")[2]).strip("-.") or "acme"
