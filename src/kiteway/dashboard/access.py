"""
Who may read the page: the checks of a request, before anything else looks at it.

- *Host.* A page of a foreign site can give its own name the address 127.0.0.1 (DNS rebinding), and then reads the answers
  as its own. Such a request has the foreign name in its Host header. So a name must be known. An IP address needs no
  DNS and is no means of this attack.
- *Origin and Sec-Fetch-Site.* A foreign page cannot read an answer, because no CORS header permits it. A request that it
  makes is refused all the same.
- *The bearer token or a client certificate*, where one is asked for, for everything but the page's own files, which are the same
  in each release. The token is a header and no cookie, so a browser never adds it to a request of a foreign page. A browser does
  add a certificate; requests of foreign pages are refused by the checks above.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kiteway.dashboard.config import read_token
from kiteway.status.connections import CERTIFIED

API = "/api/"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused: the HTTP status, and a sentence for its user."""

    status: int
    message: str


@dataclass(frozen=True, slots=True)
class Access:
    """
    The rules of one page.

    Attributes:
        token_file: the file with the token, read for each request, so that it can be changed; None: there is none.
        certificates: whether a client certificate opens the page; without a token none but that does.
        hosts: the names that a Host header may have, besides ``localhost`` and IP addresses.
    """

    token_file: Path | None = None
    certificates: bool = False
    hosts: tuple[str, ...] = ()

    def refuse(self, path: str, headers: Headers, *, certified: bool = False) -> Refusal | None:
        """Return why a request is refused, None if it is answered; ``certified``: its connection has a client certificate."""
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._knows(host):
            return Refusal(421, "this page has another name; name it with --dashboard-host, or use its IP address")
        origin = headers.get("origin")
        if origin is not None and origin not in {f"http://{host}", f"https://{host}"}:
            return Refusal(403, "requests of other sites are refused")
        if not path.startswith(API):
            return None
        if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return Refusal(403, "requests of other sites are refused")
        if certified and self.certificates:
            return None
        if self.token_file is None and self.certificates:
            return Refusal(
                401, "this page asks for a client certificate of a CA in --dashboard-client-ca; there is no token"
            )
        if self.token_file is not None and not self._has_token(headers.getlist("authorization")):
            return Refusal(
                401,
                "send the token of --dashboard-token-file as `authorization: Bearer TOKEN`; this one is missing or wrong, or the "
                "file is missing, too short, or open to every user of the machine",
            )
        return None

    def _knows(self, host: str) -> bool:
        name, colon, port = host.rpartition(":")
        if not colon or not port.isdecimal():
            name = host
        if name.lower() in {"localhost", *(each.lower() for each in self.hosts)}:
            return True
        try:
            ipaddress.ip_address(name[1:-1] if name[:1] == "[" and name[-1:] == "]" else name)
        except ValueError:
            return False
        return True

    def _has_token(self, given: Iterable[str]) -> bool:
        assert self.token_file is not None  # noqa: S101 - the caller has checked
        try:
            token = read_token(self.token_file)
        except ValueError:
            return False
        values = list(given)
        scheme, _, value = (values[0] if len(values) == 1 else "").partition(" ")
        # The time of the comparison does not depend on how much of a guess is right.
        return hmac.compare_digest(value.strip().encode(), token) and scheme.lower() == "bearer"


class Guard:
    """Refuses requests by `Access`, and gives each answer the headers that keep a browser from anything foreign."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        certified = scope.get("state", {}).get(CERTIFIED, False)
        refusal = self._access.refuse(scope["path"], Headers(scope=scope), certified=certified)
        app: ASGIApp = self._app if refusal is None else _answer(refusal)
        await app(scope, receive, guarded)


def _answer(refusal: Refusal) -> Response:
    headers = {"www-authenticate": "Bearer"} if refusal.status == 401 else {}
    return PlainTextResponse(refusal.message, refusal.status, headers)
