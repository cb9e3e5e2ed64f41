"""The parts of a BackendConfig that only Google's infrastructure can do. They are read so that mistakes are found."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated

from kiteway.resources.decode import text_bytes
from kiteway.resources.rules import between
from kiteway.resources.schema import Origin, Violation, described
from kiteway.resources.secret_bytes import SecretBytes

_ORIGIN = Origin.BACKEND_CONFIG

# The longest that Cloud CDN caches anything: a year.
_YEAR = 31_622_400

_CACHEABLE_FAILURES = (300, 301, 308, 404, 405, 410, 421, 451, 501)


def _cacheable_failure(code: int) -> Violation | None:
    if code in _CACHEABLE_FAILURES:
        return None
    return Violation(f"must be one of {', '.join(map(str, _CACHEABLE_FAILURES))}, not {code}.")


class CacheMode(enum.StrEnum):
    """The answers that Cloud CDN caches."""

    CACHE_ALL_STATIC = "CACHE_ALL_STATIC"
    USE_ORIGIN_HEADERS = "USE_ORIGIN_HEADERS"
    FORCE_CACHE_ALL = "FORCE_CACHE_ALL"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityPolicyConfig:
    """A Google Cloud Armor policy."""

    name: str = described("The policy's name; empty removes it.", "", origin=_ORIGIN, support="diagnostic")


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthClientCredentials:
    """The OAuth client of Identity-Aware Proxy."""

    secret_name: str = described("A Secret with client_id and client_secret.", "", origin=_ORIGIN, support="diagnostic")
    client_id: str = described("Written by the controller.", "", name="clientID", origin=_ORIGIN, support="diagnostic")
    client_secret: Annotated[SecretBytes, text_bytes] = described(
        "Written by the controller.", SecretBytes(), origin=_ORIGIN, support="diagnostic"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class IAPConfig:
    """Google's Identity-Aware Proxy."""

    enabled: bool = described("Whether it is on.", False, origin=_ORIGIN, support="diagnostic")
    oauthclient_credentials: OAuthClientCredentials | None = described(
        "Its OAuth client.", None, origin=_ORIGIN, support="diagnostic"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NegativeCachingPolicy:
    """How long a failure is cached."""

    code: int = described("The HTTP status.", 0, _cacheable_failure, origin=_ORIGIN, support="diagnostic")
    ttl: int = described("Seconds, at most 1800.", 0, between(0, 1800), origin=_ORIGIN, support="diagnostic")


@dataclass(frozen=True, slots=True, kw_only=True)
class BypassCacheOnRequestHeader:
    """A header that turns the cache off."""

    header_name: str = described("The header's name.", "", origin=_ORIGIN, support="diagnostic")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedUrlKey:
    """A key for signed URLs."""

    key_name: str = described("The key's name.", "", origin=_ORIGIN, support="diagnostic")
    key_value: Annotated[SecretBytes, text_bytes] = described(
        "Written by the controller.", SecretBytes(), origin=_ORIGIN, support="diagnostic"
    )
    secret_name: str = described("A Secret with key_value.", "", origin=_ORIGIN, support="diagnostic")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheKeyPolicy:
    """The parts of a request that are part of the cache key."""

    include_host: bool = described("The host.", False, origin=_ORIGIN, support="diagnostic")
    include_protocol: bool = described("The protocol.", False, origin=_ORIGIN, support="diagnostic")
    include_query_string: bool = described("The query.", False, origin=_ORIGIN, support="diagnostic")
    query_string_blacklist: tuple[str, ...] = described(
        "Query parameters that are not part of the key.", (), origin=_ORIGIN, support="diagnostic"
    )
    query_string_whitelist: tuple[str, ...] = described(
        "The only query parameters that are part of the key.", (), origin=_ORIGIN, support="diagnostic"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CDNConfig:
    """Google Cloud CDN."""

    enabled: bool = described("Whether it is on.", False, origin=_ORIGIN, support="diagnostic")
    bypass_cache_on_request_headers: tuple[BypassCacheOnRequestHeader, ...] = described(
        "Headers that turn the cache off.", (), origin=_ORIGIN, support="diagnostic"
    )
    cache_mode: CacheMode | None = described("What is cached.", None, origin=_ORIGIN, support="diagnostic")
    cache_policy: CacheKeyPolicy | None = described(
        "The parts of a request that are part of the cache key.", None, origin=_ORIGIN, support="diagnostic"
    )
    client_ttl: int | None = described(
        "Seconds a client may cache.", None, between(0, _YEAR), origin=_ORIGIN, support="diagnostic"
    )
    default_ttl: int | None = described(
        "Seconds to cache an answer that does not state them.",
        None,
        between(0, _YEAR),
        origin=_ORIGIN,
        support="diagnostic",
    )
    max_ttl: int | None = described(
        "Seconds to cache at most.", None, between(0, _YEAR), origin=_ORIGIN, support="diagnostic"
    )
    negative_caching: bool | None = described(
        "Whether failures are cached.", None, origin=_ORIGIN, support="diagnostic"
    )
    negative_caching_policy: tuple[NegativeCachingPolicy, ...] = described(
        "How long failures are cached.", (), origin=_ORIGIN, support="diagnostic"
    )
    request_coalescing: bool | None = described(
        "Whether concurrent equal requests share one request to the backend.",
        None,
        origin=_ORIGIN,
        support="diagnostic",
    )
    serve_while_stale: int | None = described(
        "Seconds for which a stale answer may be served.", None, origin=_ORIGIN, support="diagnostic"
    )
    signed_url_cache_max_age_sec: int | None = described(
        "Seconds a signed URL's answer is cached.", None, origin=_ORIGIN, support="diagnostic"
    )
    signed_url_keys: tuple[SignedUrlKey, ...] = described(
        "Keys for signed URLs.", (), origin=_ORIGIN, support="diagnostic"
    )
