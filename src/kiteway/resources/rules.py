"""The rules for values of fields. Each is a function from a value to a `Violation` or None."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable, Sequence

from kiteway.hostnames import in_ascii
from kiteway.resources import reasons
from kiteway.resources.places import quoted
from kiteway.resources.schema import Rule, Violation

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_LABEL = re.compile(rf"{_LABEL}\Z")
_DNS_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\Z")
_PORT_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_QUALIFIED_NAME = re.compile(r"([^/]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z")
_MANAGED_DOMAIN = re.compile(r"(([a-z0-9]+|[a-z0-9][-a-z0-9]*[a-z0-9])\.)+[a-z][-a-z0-9]*[a-z0-9]\Z")
_SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]+\Z")


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*\Z")
_RESERVED_HEADERS = frozenset(
    {
        "authority",
        "cdn-loop",
        "connection",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-user-ip",
    }
)
_RESERVED_HEADER_PREFIXES = ("x-google", "x-goog-", "x-gfe", "x-amz-")


def closest(word: str, known: Iterable[str], cutoff: float = 0.65) -> str:
    """Return the known word that a misspelt one most likely means, or an empty string if none is that similar."""
    if len(word) > 64:
        return ""
    folded = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=cutoff)
    return folded[found[0]] if found else ""


def fix_of(violation: Violation) -> str:
    """Return what to do about a violation; for a misspelt word, the right one."""
    meant = closest(violation.word, violation.known) if violation.word else ""
    return f"Did you mean {meant}?" if meant else violation.fix


def between(low: int, high: int) -> Rule:
    """Allow numbers from `low` to `high`, both included."""

    def rule(value: float) -> Violation | None:
        return None if low <= value <= high else Violation(f"must be between {low} and {high}, not {value}.")

    return rule


def one_of(*words: str) -> Rule:
    """Allow these words only."""

    def rule(value: str) -> Violation | None:
        return None if value in words else not_one_of(value, words)

    return rule


def not_one_of(value: str, words: Sequence[str], fix: str = "") -> Violation:
    """Return the violation for a word that is not in ``words``; `fix_of` finds the nearest of them, or gives ``fix``."""
    message = f"must be one of {', '.join(words)}, not {quoted(value)}."
    return Violation(message, fix, reason=reasons.FIELD_VALUE_NOT_SUPPORTED, word=value, known=words)


def at_least_one(value: Sequence[object]) -> Violation | None:
    """Allow no empty list."""
    return None if value else Violation("must have at least one entry.", reason=reasons.FIELD_VALUE_REQUIRED)


def at_most(count: int) -> Rule:
    """Allow lists of up to `count` entries."""

    def rule(value: Sequence[object]) -> Violation | None:
        if len(value) <= count:
            return None
        message = f"must have at most {count} entries, not {len(value)}."
        return Violation(message, reason=reasons.FIELD_VALUE_TOO_MANY)

    return rule


def each(*rules: Rule) -> Rule:
    """Apply rules to every entry of a list and report the first that breaks one."""

    def rule(value: Sequence[object]) -> Violation | None:
        for index, entry in enumerate(value):
            for check in rules:
                if broken := check(entry):
                    return Violation(broken.message, broken.fix, broken.reason, (index, *broken.path), broken.severity)
        return None

    return rule


port_number = between(1, 65535)
"""A TCP or UDP port."""


def dns_label(value: str) -> Violation | None:
    """Allow RFC 1123 labels: the name of a Service or a namespace."""
    if len(value) <= 63 and _DNS_LABEL.match(value):
        return None
    return Violation(
        f"must be a DNS label, not {quoted(value)}.",
        "Use lower-case letters, digits and dashes, at most 63, with a letter or digit at both ends.",
    )


def dns_subdomain(value: str) -> Violation | None:
    """Allow RFC 1123 subdomains: the name of most objects."""
    if len(value) <= 253 and _DNS_NAME.match(value):
        return None
    return Violation(
        f"must be a DNS name, not {quoted(value)}.",
        "Use lower-case letters, digits, dashes and dots, at most 253, with a letter or digit at both ends.",
    )


def port_name(value: str) -> Violation | None:
    """Allow IANA service names: the name of a container's port."""
    if len(value) <= 15 and _PORT_NAME.match(value) and any(c.isalpha() for c in value):
        return None
    return Violation(
        f"must be a port name, not {quoted(value)}.",
        "Use lower-case letters, digits and single dashes, at most 15, with a letter among them.",
    )


def port_name_or_number(value: str | int) -> Violation | None:
    """Allow what Kubernetes calls an IntOrString port."""
    if isinstance(value, int):
        return port_number(value)
    broken = port_name(value)
    if broken and value.isdecimal():
        return Violation(f"must be an integer, not the string {quoted(value)}.", "Remove the quotes.")
    return broken


def qualified_name(value: str) -> Violation | None:
    """Allow names with an optional DNS prefix: ``kubernetes.io/h2c``."""
    if _QUALIFIED_NAME.match(value) and ("/" not in value or not dns_subdomain(value.split("/", maxsplit=1)[0])):
        return None
    return Violation(f"must be a name with an optional DNS prefix, such as kubernetes.io/h2c, not {quoted(value)}.")


def secret_keys(value: Iterable[str]) -> Violation | None:
    """Allow the names that entries of a Secret may have."""
    for key in value:
        if len(key) > 253 or not _SECRET_KEY.match(key):
            message = "must have a name of letters, digits, dashes, dots and underscores, at most 253."
            return Violation(message, path=(key,))
    return None


def host(value: str) -> Violation | None:
    """Allow a host as an Ingress writes it: a DNS name, or ``*.`` and one; no address, no port."""
    if not dns_subdomain(value.removeprefix("*.")) and not is_address(value):
        return None
    return Violation(*_wrong_host(value))


def _wrong_host(value: str) -> tuple[str, str]:
    message = f"must be a DNS name, not {quoted(value)}."
    if is_address(value.strip("[]")):
        fix = "An address is no host: use a DNS name, or leave host out to match every request."
        return f"must be a DNS name, not the IP address {quoted(value)}.", fix
    scheme, found, rest = value.partition("://")
    if found:
        return message, f"Remove {scheme}:// and whatever follows the name: {quoted(rest.split('/')[0])}."
    name, found, port = value.rpartition(":")
    if found and port.isdecimal():
        return message, f"Remove the port: {quoted(name)}. The listener decides about ports."
    if value != value.lower() and not host(value.lower()):
        return message, f"Use lower case: {quoted(value.lower())}."
    if "*" in value:
        return message, 'A wildcard is the whole first label and only that: "*.example.com".'
    if (name := in_ascii(value)) and not host(name):
        return message, f"Write it in ASCII, as DNS has it: {quoted(name)}."
    return message, "Use lower-case letters, digits, dashes and dots, at most 253."


def managed_domain(value: str) -> Violation | None:
    """Allow what Google issues certificates for: at most 63 characters, lower case, no wildcard."""
    if len(value) > 63:
        message = f"must have at most 63 characters, not {len(value)}: {quoted(value)}."
        return Violation(message, reason=reasons.FIELD_VALUE_TOO_LONG)
    if _MANAGED_DOMAIN.match(value):
        return None
    fix = "Use a fully qualified name in lower case."
    if value.startswith("*."):
        fix = "A managed certificate has no wildcards: list every name."
    elif _MANAGED_DOMAIN.match(value.lower()):
        fix = f"Use lower case: {quoted(value.lower())}."
    return Violation(f"must be a DNS name without wildcard, not {quoted(value)}.", fix)


def is_address(value: str, version: int = 0) -> bool:
    """Say whether a text is an IP address, of a version if one is given."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    return version in {0, address.version}


def custom_headers(value: Sequence[str]) -> Violation | None:
    """
    Allow what Google's load balancers take as custom headers.

    The names are those of https://cloud.google.com/load-balancing/docs/https/custom-headers-global.
    """
    seen: set[str] = set()
    for index, header in enumerate(value):
        name, colon, content = header.partition(":")
        folded = name.strip().lower()
        if not colon or not _HEADER_NAME.match(name.strip()):
            return Violation('must be written as "Name:value".', path=(index,))
        if not _HEADER_VALUE.match(content):
            return Violation("must have a value without control characters.", path=(index,))
        if folded in _RESERVED_HEADERS or folded.startswith(_RESERVED_HEADER_PREFIXES):
            message = f"must not set {quoted(name.strip())}, which the load balancer keeps for itself."
            return Violation(message, reason=reasons.FIELD_VALUE_FORBIDDEN, path=(index,))
        if folded in seen:
            message = f"must be unique, but {quoted(name.strip())} is set twice."
            return Violation(message, reason=reasons.FIELD_VALUE_DUPLICATE, path=(index,))
        seen.add(folded)
    return None
