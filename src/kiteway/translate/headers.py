"""Custom headers of a BackendConfig -> header values in Envoy's words."""

from __future__ import annotations

import re

from kiteway.model import ENCRYPTED, HeaderValue
from kiteway.resources import BackendConfig
from kiteway.resources.kinds.backend_config import CustomHeadersConfig
from kiteway.translate.context import Context, Path

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

LONGEST_VALUE = 8192
"""Bytes of all custom headers of a backend service at GCP."""

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
    """Return the headers of one field; variables that only Google knows are empty, with a warning."""
    if headers is None:
        return ()
    found = []
    for index, (name, value) in enumerate(headers.pairs):
        path: Path = ("spec", field, "headers", index)
        if name.lower().startswith("x-envoy-"):
            context.warn(
                config,
                "HeaderForbidden",
                f'"{name}" steers Envoy and is left out.',
                "Remove it.",
                path,
            )
            continue
        if len(value.encode()) > LONGEST_VALUE:
            context.error(
                config,
                "HeaderTooLong",
                f'the value of "{name}" is longer than {LONGEST_VALUE} bytes, more than GCP allows for all headers.',
                "Make it shorter.",
                path,
            )
            continue
        found.append(HeaderValue(name.lower(), _translated(context, config, value, path)))
    return tuple(found)


def _translated(context: Context, config: BackendConfig, value: str, path: Path) -> str:
    def replace(found: re.Match[str]) -> str:
        variable = found[1]
        if variable in _KNOWN:
            return _KNOWN[variable]
        if variable in _GOOGLES or variable.startswith(_CLIENT_CERTIFICATE):
            reason, message = "HeaderVariableGoogle", f"only Google knows {{{variable}}}; it is empty here."
        else:
            reason, message = "HeaderVariableUnknown", f"there is no variable {{{variable}}}; it is empty."
        context.warn(config, reason, message, f"Use one of {', '.join(sorted(_KNOWN))}.", path)
        return ""

    # What Envoy would take for a command of its own is text here.
    return _VARIABLE.sub(replace, value.replace("%", "%%"))
