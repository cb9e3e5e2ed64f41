"""The names in a single certificate."""

from __future__ import annotations

import ipaddress
import re
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import NameOID

E = TypeVar("E", bound=x509.ExtensionType)


def extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    """Return an extension's value; None if it is not there or cannot be read."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, ValueError):
        return None


def alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names and IP addresses of the subjectAltName, lower case, in order, without repetitions."""
    san = extension(certificate, x509.SubjectAlternativeName)
    if san is None:
        return ()
    names = [name.lower() for name in san.get_values_for_type(x509.DNSName)]
    names += [str(address) for address in san.get_values_for_type(x509.IPAddress)]
    return tuple(dict.fromkeys(names))


def common_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the common names of the subject, lower case."""
    attributes = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return tuple(dict.fromkeys(str(a.value).lower() for a in attributes))


_LABEL = r"[a-z0-9_](?:[-a-z0-9_]{0,61}[a-z0-9_])?"
_SERVER_NAME = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*\Z")
_LONGEST_NAME = 253


def is_server_name(name: str) -> bool:
    """
    Return whether SNI can match a certificate's name: a DNS name, or ``*.`` and a DNS name (RFC 6125).

    It cannot match an address (RFC 6066, section 3), or a wildcard in another position, which Envoy does not support.
    """
    bare = name.removeprefix("*.")
    return len(bare) <= _LONGEST_NAME and _SERVER_NAME.match(name) is not None and not is_address(name)


def is_address(name: str) -> bool:
    """Return whether a name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def covers(names: tuple[str, ...], host: str) -> bool:
    """Return whether one of the certificate's ``names`` is valid for ``host``; ``*.`` stands for one label."""
    host = host.lower().rstrip(".")
    if host in names:
        return True
    try:
        return str(ipaddress.ip_address(host)) in names
    except ValueError:
        pass
    _, _, parent = host.partition(".")
    return bool(parent) and f"*.{parent}" in names
