"""Custom headers of a BackendConfig -> header values with Envoy's command operators."""

from __future__ import annotations

import re
from collections.abc import Collection

from kiteway.model import ENCRYPTED, HeaderValue
from kiteway.resources import BackendConfig
from kiteway.resources.kinds.backend_config import CustomHeadersConfig
from kiteway.resources.places import Path, quoted
from kiteway.translate.shared.context import Context
from kiteway.translate.shared.limits import LONGEST_HEADER_FORMAT, LONGEST_HEADERS, MOST_HEADERS

_KNOWN = {
    "client_encrypted": ENCRYPTED,
    "client_ip_address": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "client_port": "%DOWNSTREAM_REMOTE_PORT%",
    "client_protocol": "%PROTOCOL%",
    "server_ip_address": "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%",
    "server_port": "%DOWNSTREAM_LOCAL_PORT%",
    "tls_cipher_suite": "%DOWNSTREAM_TLS_CIPHER%",
    "tls_sni_hostname": "%REQUESTED_SERVER_NAME%",
    "tls_version": "%DOWNSTREAM_TLS_VERSION%",
}
"""Google's variables that Envoy knows too (docs: "Create custom headers", variables)."""

_RESERVED = frozenset({"content-length"})
"""Headers that frame a message: a wrong value breaks the connection for the messages after it."""

_RESERVED_PREFIXES = ("x-envoy-", "kiteway-")

_NAMED = 5
"""The most unknown variables that one diagnostic lists."""

_LONGEST_SHOWN = 64
"""The most characters of each that are shown."""

_GOOGLES = frozenset(
    {
        "cdn_cache_id",
        "cdn_cache_status",
        "client_city",
        "client_city_lat_long",
        "client_region",
        "client_region_subdivision",
        "client_rtt_msec",
        "device_request_type",
        "origin_request_header",
        "tls_ja3_fingerprint",
        "tls_ja4_fingerprint",
        "user_agent_family",
    }
)
_CLIENT_CERTIFICATE = "client_cert_"
_VARIABLE = re.compile(r"\{([a-z0-9_]+)\}")


def custom_headers(
    context: Context, config: BackendConfig, headers: CustomHeadersConfig | None, field: str
) -> tuple[HeaderValue, ...]:
    """
    Return the headers of one field within GCP's and Envoy's limits; only a header that breaks a limit is left out.

    Variables that only Google has are sent empty, with a warning.
    """
    if headers is None:
        return ()
    at: Path = ("spec", field, "headers")
    if len(headers.pairs) > MOST_HEADERS:
        context.error(
            config,
            "HeadersTooMany",
            f"there are {len(headers.pairs)} headers; GCP allows {MOST_HEADERS}, and those after them are left out.",
            "Remove some.",
            at,
        )
    found = []
    together = 0
    for index, (name, value) in enumerate(headers.pairs[:MOST_HEADERS]):
        path: Path = (*at, index)
        if name.lower() in _RESERVED or name.lower().startswith(_RESERVED_PREFIXES):
            context.warn(
                config,
                "HeaderForbidden",
                f"{quoted(name)} is reserved for the load balancer and is left out.",
                "Remove it.",
                path,
            )
            continue
        length = len(name.encode()) + len(value.encode())
        if together + length > LONGEST_HEADERS:
            context.error(
                config,
                "HeaderTooLong",
                f"with {quoted(name)} the headers are longer than {LONGEST_HEADERS} bytes, which GCP allows for all "
                "together; it is left out.",
                "Make it shorter.",
                path,
            )
            continue
        translated = _translated(context, config, value, path)
        if len(translated.encode()) > LONGEST_HEADER_FORMAT:
            context.error(
                config,
                "HeaderTooLong",
                f"the value of {quoted(name)} is longer than {LONGEST_HEADER_FORMAT} bytes with Envoy's command operators, "
                "which is Envoy's limit; it is left out.",
                "Use fewer variables.",
                path,
            )
            continue
        together += length
        found.append(HeaderValue(name.lower(), translated))
    return tuple(found)


def _translated(context: Context, config: BackendConfig, value: str, path: Path) -> str:
    googles: dict[str, None] = {}
    unknown: dict[str, None] = {}

    def replace(found: re.Match[str]) -> str:
        variable = found[1]
        if variable in _KNOWN:
            return _KNOWN[variable]
        of_google = variable in _GOOGLES or variable.startswith(_CLIENT_CERTIFICATE)
        (googles if of_google else unknown)[found[0]] = None
        return ""

    # A % of the user is text, not one of Envoy's command operators.
    result = _VARIABLE.sub(replace, value.replace("%", "%%"))
    fix = f"Use one of {', '.join(sorted(_KNOWN))}."
    if googles:
        verb = "it is" if len(googles) == 1 else "they are"
        context.warn(
            config, "HeaderVariableGoogle", f"only Google knows {_listed(googles)}; {verb} empty here.", fix, path
        )
    if unknown:
        noun, verb = ("variable", "it is") if len(unknown) == 1 else ("variables", "they are")
        context.warn(
            config, "HeaderVariableUnknown", f"there is no {noun} {_listed(unknown)}; {verb} empty.", fix, path
        )
    return result


def _listed(variables: Collection[str]) -> str:
    first = [name if len(name) <= _LONGEST_SHOWN else f"{name[:_LONGEST_SHOWN]}…" for name in [*variables][:_NAMED]]
    return ", ".join(first) + (f" and {len(variables) - _NAMED} more" if len(variables) > _NAMED else "")
