"""Ports that another process uses, and a foreign process on the port of the health check."""

from __future__ import annotations

import contextlib
import http.server
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.attack.attack import Attack, Seen, judge, measure_calls
from tests.attack.calls import answered
from tests.attack.tenant import VICTIM, ingress, tenant, text, tls_secret
from tests.attack.world import HOST, world
from tests.e2e.traffic import Backend
from tests.support.certificates import authority, issue
from tests.support.kiteway import KITEWAY, up, wait_until
from tests.support.ports import lasting_port

_HEALTH_PORT = 9091
_LISTENERS = ("--https-port", "--http-port", "--grpc-port", "--metrics-bind")
_AFTER_SECONDS = 25.0
"""Health checks of ``up --to`` are 5 s apart and take 3 s; two that fail take the endpoint out."""


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _end(arguments: Sequence[str], folder: Path) -> tuple[int | None, str]:
    """Run ``kiteway up`` until it ends or says that it is ready; return its exit status (None) and what it said."""
    log = folder / "said"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [KITEWAY, "up", "--data-dir", folder / "kw", *arguments], stdout=output, stderr=output
        )
    try:
        wait_until(lambda: process.poll() is not None or "ready" in log.read_text(), "kiteway up says something", 90)
        return process.poll(), " ".join(log.read_text().split())
    finally:
        process.terminate()
        process.wait(45)


def _taken() -> Seen:
    """Hold each port in turn: `up` must not say that it is ready, and must say who holds it."""
    seen = Seen()
    said = ""
    for taken in _LISTENERS:
        with _folder() as folder, socket.create_server(("127.0.0.1", 0)) as holder, Backend() as backend:
            port = holder.getsockname()[1]
            # On the plaintext port, too, so that every listener is in use.
            objects = [
                *tenant(VICTIM, backend),
                ingress(VICTIM, [HOST], tls=["tls"], annotations={"kubernetes.io/ingress.allow-http": "true"}),
                tls_secret("tls", VICTIM, issue(HOST)),
            ]
            (folder / "objects.json").write_bytes(text(objects))
            arguments = ["-f", str(folder / "objects.json"), "--drain", "0"]
            for option in _LISTENERS:
                number = port if option == taken else lasting_port()
                arguments += [option, f"127.0.0.1:{number}" if option == "--metrics-bind" else str(number)]
            code, said = _end(arguments, folder)
            seen.check(holds=code == 1, otherwise=f"{taken}: exit status {code}: {said[-100:]}")
            seen.check(holds=str(port) in said, otherwise=f"{taken}: the port is not named: {said[-100:]}")
    seen.refused = _sentence(said)
    return seen


def _shared() -> Seen:
    """Start a second instance on the ports of the victim's."""
    with world() as found, _folder() as folder:
        ports = ["--https-port", str(found.ports.https), "--http-port", str(found.ports.http), "--drain", "0"]
        code, said = _end(["-f", str(found.tenants), *ports], folder)
        seen = Seen(refused=_sentence(said), change=found.change())
        seen.check(holds=code == 1, otherwise=f"exit status {code}: {said[-100:]}")
        holder = str(found.running.instance.data_dir)
        seen.check(holds=holder in said, otherwise="the holder's data directory is not named")
        measure_calls(seen, found)
        judge(seen)
        return seen


def _sentence(said: str) -> str:
    return said.partition("error: ")[2].partition(":")[0][:60] or said[:60]


class _Fine(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Say that all is well, of whatever."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Say nothing."""


def _stranger() -> Seen:
    """Let something else answer on 9091 while `up --to` looks, and end it afterwards."""
    stranger = http.server.ThreadingHTTPServer(("127.0.0.1", _HEALTH_PORT), _Fine)
    thread = threading.Thread(target=stranger.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    with contextlib.ExitStack() as stack:
        ends = stack.enter_context(contextlib.ExitStack())
        ends.callback(thread.join)
        ends.callback(stranger.server_close)
        ends.callback(stranger.shutdown)
        folder = stack.enter_context(_folder())
        backend = stack.enter_context(Backend())
        ca = authority()
        own = issue(HOST, issuer=ca)
        (folder / "tls.crt").write_bytes(own.crt)
        (folder / "tls.key").write_bytes(own.pem)
        port = lasting_port()
        arguments = ["--to", f"127.0.0.1:{backend.port}", "--host", HOST, "--https-port", str(port)]
        arguments += ["--http-port", "0", "--tls", f"{folder / 'tls.crt'},{folder / 'tls.key'}", "--drain", "0"]
        stack.enter_context(up(arguments, folder / "kw"))
        wait_until(lambda: answered(port, HOST, ca.crt), "the target is served", 30)
        ends.close()
        seen = Seen(refused="the stranger is not believed")
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not answered(port, HOST, ca.crt), "calls fail", _AFTER_SECONDS)
            seen.refused = ""
            seen.broken.append("a target that serves got no calls when a stranger on 9091 ended")
        return seen


ATTACKS = (
    Attack("E", "a stranger on each port", _taken),
    Attack("E", "another instance on the same ports", _shared),
    Attack("E", "a stranger on 9091 beside the target", _stranger, background=True),
)
