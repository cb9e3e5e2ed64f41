"""Ports that another process uses, and a foreign process on the port of the health check."""

from __future__ import annotations

import contextlib
import fcntl
import http.server
import os
import shutil
import socket
import subprocess
import sys
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

_NOBODY = 65534
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


def _held_by_another_user() -> Seen:
    """Hold a port as another user, whose processes an ordinary user cannot look at."""
    if os.geteuid():
        return Seen(refused="not tried: it takes root to be another user")
    seen = Seen()
    with _folder() as folder:
        port = lasting_port()
        hold = f"import os, socket, time; os.setuid({_NOBODY}); s = socket.create_server(('127.0.0.1', {port})); "
        hold += "print(1, flush=True); time.sleep(600)"
        holder = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE)
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline(), "nobody cannot hold the port"
            (folder / "objects.json").write_bytes(text([ingress(VICTIM, [HOST])]))
            code, said = _end(["-f", str(folder / "objects.json"), "--http-port", str(port), "--drain", "0"], folder)
        finally:
            holder.kill()
            holder.communicate()
        seen.refused = _sentence(said)
        seen.check(holds=code == 1, otherwise=f"exit status {code}: {said[-100:]}")
        seen.check(holds=str(port) in said and "nobody" in said, otherwise=f"the holder is not named: {said[-100:]}")
    return seen


def _replaced() -> Seen:
    """Prepare, as another user, what `--replace` is to be pointed at: a lock that names the victim's process."""
    if os.geteuid():
        return Seen(refused="not tried: it takes root to make another user's folder")
    with world() as found, _folder() as folder:
        pid = found.running.instance.running_pid()
        forged = folder / "forged"
        forged.mkdir()
        lock = forged / "kiteway.lock"
        lock.write_text(f"{pid}\n")
        os.chown(forged, _NOBODY, _NOBODY)
        seen = Seen()
        said = ""
        with lock.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            for what, replaced in (("another user's", forged), ("a file", lock), ("none", folder / "none")):
                arguments = ["-f", str(found.tenants), "--drain", "0", "--replace", str(replaced)]
                arguments += ["--https-port", str(found.ports.https), "--http-port", str(found.ports.http)]
                code, now = _end(arguments, folder)
                said = said or now
                seen.check(holds=code in {1, 2}, otherwise=f"--replace of {what}: exit status {code}: {now[-100:]}")
        seen.refused = _sentence(said)
        seen.change = found.change()
        alive = found.running.process.poll() is None
        seen.check(holds=alive, otherwise="the victim's instance was told to stop")
        measure_calls(seen, found)
        judge(seen)
        return seen


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
    Attack("E", "a port that another user holds", _held_by_another_user),
    Attack("E", "--replace of what another user has prepared", _replaced),
    Attack("E", "a stranger on 9091 beside the target", _stranger, background=True),
)
