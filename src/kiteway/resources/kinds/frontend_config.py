"""FrontendConfig: GKE's settings for the listeners of an Ingress."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

from kiteway.diagnostics import Severity
from kiteway.resources.object import Object
from kiteway.resources.rules import dns_subdomain
from kiteway.resources.schema import Origin, Rule, described

_ORIGIN = Origin.FRONTEND_CONFIG


class RedirectResponseCode(enum.StrEnum):
    """The HTTP status of a redirect."""

    MOVED_PERMANENTLY_DEFAULT = "MOVED_PERMANENTLY_DEFAULT"
    FOUND = "FOUND"
    TEMPORARY_REDIRECT = "TEMPORARY_REDIRECT"
    PERMANENT_REDIRECT = "PERMANENT_REDIRECT"

    @property
    def status(self) -> int:
        """The number of the status."""
        return {"FOUND": 302, "TEMPORARY_REDIRECT": 307, "PERMANENT_REDIRECT": 308}.get(self.value, 301)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsRedirectConfig:
    """Redirects from HTTP to HTTPS."""

    enabled: bool = described(
        "Whether port 80 redirects; kubernetes.io/ingress.allow-http must stay true for it.", False, origin=_ORIGIN
    )
    response_code_name: RedirectResponseCode = described(
        "The status of the redirect: 301, 302, 307 or 308.",
        RedirectResponseCode.MOVED_PERMANENTLY_DEFAULT,
        origin=_ORIGIN,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendConfigSpec:
    """The specification of a FrontendConfig."""

    ssl_policy: str | None = described(
        "The name of a Google SSL policy; empty removes it.",
        None,
        absent="left as it is",
        origin=_ORIGIN,
        support="diagnostic",
    )
    redirect_to_https: HttpsRedirectConfig | None = described(
        "Redirects from HTTP to HTTPS.", None, absent="no redirect", origin=_ORIGIN
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendConfig(Object):
    """A FrontendConfig (networking.gke.io/v1beta1), named by an Ingress's annotation."""

    KIND: ClassVar[str] = "FrontendConfig"
    API_VERSIONS: ClassVar[tuple[str, ...]] = ("networking.gke.io/v1beta1",)
    UNKNOWN_FIELD: ClassVar[Severity] = Severity.ERROR
    NAME_RULE: ClassVar[Rule] = staticmethod(dns_subdomain)
    SILENT: ClassVar[frozenset[str]] = frozenset({"status"})

    spec: FrontendConfigSpec = described("The specification.", FrontendConfigSpec(), origin=_ORIGIN)
