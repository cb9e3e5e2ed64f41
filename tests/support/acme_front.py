"""
A proxy in front of an ACME server for features that Debian's pebble lacks: rate limits, renewal information
(ARI), and held requests.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

_ARI = "/renewal-info/"
_LONGEST_HOLD = 120.0
_PROBLEM = b'{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many certificates already issued"}'


@dataclass
class Hold:
    """
    A request that waits at the front.

    Attributes:
        path: of the POSTs that wait.
        reached: set when one does.
        go_on: set when it may.
        drop: whether it then never reaches the CA; who asked is dead.
    """

    path: str
    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    drop: bool = False


@dataclass
class Front:
    """
    What the front does.

    Attributes:
        port: where it listens.
        limited: the path whose POSTs are answered 429; empty for none.
        retry_after: seconds, in its ``Retry-After``.
        refused: how many were.
        windows: the suggested windows by the certificate's number, in the order in which it is first asked for them;
            empty: the CA has no renewalInfo.
        known: the certificates that were asked for.
        hold: what waits; None: nothing.
    """

    port: int
    limited: str = ""
    retry_after: int = 3
    refused: int = 0
    windows: list[tuple[dt.datetime, dt.datetime]] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    hold: Hold | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def directory(self) -> str:
        """The URL to give to --acme-directory."""
        return f"https://localhost:{self.port}/dir"

    def dropped(self, path: str) -> bool:
        """Let a request wait if it shall; return whether it goes no further."""
        hold = self.hold
        if hold is None or not path.startswith(hold.path):
            return False
        hold.reached.set()
        hold.go_on.wait(_LONGEST_HOLD)
        return hold.drop

    @contextlib.contextmanager
    def holding(self, path: str) -> Iterator[Hold]:
        """Let the next POST to ``path`` wait, until it is told to go on or the context ends."""
        hold = self.hold = Hold(path)
        try:
            yield hold
        finally:
            self.hold = None
            hold.go_on.set()


@contextlib.contextmanager
def front(folder: Path, port: int, upstream: int) -> Iterator[Front]:
    """Stand before the ACME server at ``upstream``, with its certificate from ``folder``."""
    state = Front(port)
    client = httpx2.Client(
        verify=ssl.create_default_context(cafile=str(folder / "ca.pem")), timeout=30, trust_env=False
    )

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.command == "POST" and state.limited and self.path.startswith(state.limited):
                with state.lock:
                    state.refused += 1
                self._answer(
                    429,
                    {"Content-Type": "application/problem+json", "Retry-After": str(state.retry_after)},
                    _PROBLEM,
                )
                return
            if self.command == "POST" and state.dropped(self.path):
                self.close_connection = True
                return
            if self.path.startswith(_ARI):
                self._suggest(self.path.removeprefix(_ARI))
                return
            # The CA makes its URLs of the name it is asked by, so that they all lead through here.
            headers = {name: self.headers[name] for name in ("Host", "Content-Type") if name in self.headers}
            found = client.request(
                self.command, f"https://localhost:{upstream}{self.path}", headers=headers, content=body
            )
            kept = ("Content-Type", "Location", "Link", "Replay-Nonce", "Retry-After")
            content = found.content
            if self.path == "/dir" and state.windows:
                content = json.dumps(found.json() | {"renewalInfo": f"https://localhost:{port}{_ARI[:-1]}"}).encode()
            self._answer(
                found.status_code, {name: found.headers[name] for name in kept if name in found.headers}, content
            )

        def _suggest(self, certificate: str) -> None:
            with state.lock:
                if certificate not in state.known:
                    state.known.append(certificate)
                start, end = state.windows[min(state.known.index(certificate), len(state.windows) - 1)]
            window = {"start": f"{start:%Y-%m-%dT%H:%M:%SZ}", "end": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
            body = json.dumps({"suggestedWindow": window}).encode()
            self._answer(200, {"Content-Type": "application/json", "Retry-After": "21600"}, body)

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_POST = do_HEAD = _pass_on  # noqa: N815 - the names http.server calls

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        client.close()
