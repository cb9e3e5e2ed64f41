"""The web page of a running Kiteway: a separate process, and what an attacker gets from it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import grpc
import httpx2
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from kiteway.dashboard.server import STREAMS_MOST
from kiteway.files import write_atomic
from tests.e2e.test_traffic_metrics import MANIFESTS
from tests.e2e.traffic import SEARCH, Backend, call, eventually
from tests.support.certificates import Issued, authority, issue
from tests.support.kiteway import KITEWAY, Running, up, wait_until

pytestmark = pytest.mark.e2e

TOKEN = "0123456789abcdef-of-the-page"
HEADERS = {"authorization": f"Bearer {TOKEN}"}


class Place(NamedTuple):
    """A running instance with its page, its metrics and a client's port."""

    running: Running
    page: int
    metrics: int
    port: int

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """Ask the page with the token."""
        url = f"http://127.0.0.1:{self.page}{path}"
        return httpx2.get(url, headers={**HEADERS, **headers}, timeout=30, trust_env=False, verify=False)


@pytest.fixture(scope="module")
def place(free_port: Callable[[], int]) -> Iterator[Place]:
    """Kiteway in front of one backend; everyone could reach the page, so it has a token."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    (folder / "manifests").mkdir()
    (folder / "manifests" / "all.yaml").write_text(MANIFESTS)
    token = folder / "token"
    token.touch(0o600)
    token.write_text(TOKEN)
    page, metrics, port = free_port(), free_port(), free_port()
    try:
        with Backend() as backend:
            arguments: list[str] = ["-f", str(folder / "manifests"), "--drain", "1"]
            arguments += ["--endpoint", f"my-release-milvus=127.0.0.1:{backend.port},health={backend.health_port}"]
            arguments += ["--http-port", str(port), "--https-port", str(free_port())]
            arguments += ["--metrics-bind", f"127.0.0.1:{metrics}"]
            arguments += [
                "--dashboard",
                f"0.0.0.0:{page}",
                "--dashboard-token-file",
                str(token),
                "--dashboard-behind-tls",
            ]
            with up(arguments, folder / "data") as running:
                running.wait_healthy(1)
                found = Place(running, page, metrics, port)
                eventually(lambda: _answers(found), "the page answers")
                yield found
    finally:
        shutil.rmtree(folder)


def _answers(place: Place) -> bool:
    try:
        return bool(place.get("/api/overview").json()["answered"])
    except httpx2.TransportError:
        return False


def test_a_page_for_everyone_does_not_start_without_a_token(tmp_path: Path) -> None:
    """It is a usage error, before anything listens."""
    command: list[str | Path] = [
        KITEWAY,
        "up",
        "--to",
        "127.0.0.1:1",
        "--data-dir",
        tmp_path / "data",
        "--dashboard",
        "0.0.0.0:9090",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "it needs a token" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_page_for_everyone_does_not_start_in_plaintext(tmp_path: Path) -> None:
    """The token would cross the network; the error names the options for a certificate, and the one for a proxy with TLS."""
    token = tmp_path / "token"
    write_atomic(token, TOKEN.encode(), 0o600)
    command: list[str | Path] = [KITEWAY, "up", "--to", "127.0.0.1:1", "--data-dir", tmp_path / "data"]
    command += ["--dashboard", "0.0.0.0:9090", "--dashboard-token-file", token]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    words = " ".join(done.stderr.split())
    assert "--dashboard-certificate" in words
    assert "--dashboard-behind-tls" in words
    assert not (tmp_path / "data").exists()


def test_over_tls_a_token_or_a_client_certificate_opens_it(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A replaced certificate is served without a restart; the key is in no file of the instance."""
    server, readers = issue("localhost", ips=["127.0.0.1"]), authority()
    reader = issue("alice", issuer=readers, extended=[ExtendedKeyUsageOID.CLIENT_AUTH])
    write_atomic(tmp_path / "token", TOKEN.encode(), 0o600)
    write_atomic(tmp_path / "reader.pem", reader.pem + reader.crt, 0o600)
    (tmp_path / "ca.crt").write_bytes(readers.crt)

    def put(issued: Issued) -> None:
        write_atomic(tmp_path / "tls.key", issued.pem, 0o600)
        write_atomic(tmp_path / "tls.crt", issued.crt)

    def ask(trusted: Issued, *, certificate: bool = False, token: bool = False) -> int:
        context = ssl.create_default_context(cadata=trusted.crt.decode())
        if certificate:
            context.load_cert_chain(tmp_path / "reader.pem")
        with httpx2.Client(verify=context, timeout=30, trust_env=False) as client:
            try:
                return client.get(
                    f"https://127.0.0.1:{page}/api/overview", headers=HEADERS if token else {}
                ).status_code
            except httpx2.TransportError:
                return 0

    put(server)
    page = free_port()
    (tmp_path / "all.yaml").write_text(MANIFESTS)
    arguments = ["-f", str(tmp_path / "all.yaml"), "--endpoint", "my-release-milvus=127.0.0.1:1"]
    arguments += ["--https-port", str(free_port()), "--http-port", str(free_port()), "--drain", "0"]
    arguments += ["--dashboard", f"0.0.0.0:{page}", "--dashboard-token-file", str(tmp_path / "token")]
    arguments += ["--dashboard-certificate", str(tmp_path / "tls.crt"), "--dashboard-key", str(tmp_path / "tls.key")]
    with up([*arguments, "--dashboard-client-ca", str(tmp_path / "ca.crt")], tmp_path / "data") as running:
        eventually(lambda: ask(server, token=True) == 200, "the page answers")
        assert ask(server, certificate=True) == 200
        assert ask(server) == 401
        other = issue("localhost", ips=["127.0.0.1"])
        put(other)
        assert ask(other, certificate=True) == 200
        assert ask(server, certificate=True) == 0
        written = [path.read_bytes() for path in running.instance.data_dir.rglob("*.json")]
        assert not [text for text in written if b"PRIVATE KEY" in text]


def test_the_token_is_in_no_place_that_others_can_read(place: Place) -> None:
    """Neither in a command line nor in a log, an answer or a file of the instance."""
    place.get("/api/overview", authorization=f"Bearer {TOKEN}-wrong")
    data = place.running.instance.data_dir
    pids = [
        place.running.process.pid,
        *(place.running.child(name)[0] for name in ("dashboard", "controlplane", "envoy")),
    ]
    texts = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids]
    texts += [path.read_bytes() for path in (*data.rglob("*.log"), *data.rglob("*.json"), place.running.log)]
    texts += [place.get(f"/api/{name}").content for name in ("overview", "problems", "certificates", "events")]
    assert len(texts) > 8
    assert not [text for text in texts if TOKEN.encode() in text]


def test_it_is_a_process_that_may_end(place: Place) -> None:
    """Envoy and the control plane go on, and the supervisor starts the page again."""
    others = [place.running.child(name) for name in ("controlplane", "envoy")]
    place.running.kill("dashboard")
    eventually(lambda: _answers(place), "the page answers again")
    assert [place.running.child(name) for name in ("controlplane", "envoy")] == others
    processes = {each["name"]: each["restarts"] for each in place.get("/api/overview").json()["processes"]}
    assert processes["dashboard"] == place.running.child("dashboard")[1]


def _open(port: int, request: bytes) -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", port), timeout=30)
    opened.sendall(request)
    return opened


@contextlib.contextmanager
def _answered(place: Place) -> Iterator[Counter[str]]:
    """Count calls and probes, made all the time, by how they ended."""
    counts: Counter[str] = Counter()
    ended = threading.Event()

    def calls() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{place.port}") as channel:
            while not ended.is_set():
                try:
                    call(channel, SEARCH, b"")
                    counts["call"] += 1
                except grpc.RpcError as error:
                    counts[f"call: {error}"] += 1

    def probes() -> None:
        with httpx2.Client(base_url=f"http://127.0.0.1:{place.metrics}", trust_env=False, timeout=30) as client:
            while not ended.is_set():
                counts[f"probe {client.get('/ready').status_code}"] += 1

    threads = [threading.Thread(target=each) for each in (calls, probes)]
    for thread in threads:
        thread.start()
    try:
        yield counts
        # Until each has been answered after the attack, too.
        before = counts.copy()
        wait_until(lambda: counts["call"] > before["call"] and counts["probe 200"] > before["probe 200"], "answers")
    finally:
        ended.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("reads", [True, False], ids=["that read nothing", "that never end"])
def test_a_thousand_streams_hurt_nobody(place: Place, reads: bool) -> None:  # noqa: FBT001
    """No call and no probe fails, the process stays small, and the page is there for others."""
    pid, restarts = place.running.child("dashboard")
    before = _memory(pid)
    head = f"GET /api/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
    with _answered(place) as counts, contextlib.ExitStack() as stack:
        for _ in range(1000):
            # A connection that was closed for others is no error of the attacker's.
            with contextlib.suppress(OSError):
                stack.enter_context(_open(place.page, head + (b"\r\n" if reads else b"")))
        # Those that wait in the kernel are accepted together, and the surplus is closed at once.
        eventually(lambda: _descriptors(pid) < 192, "the surplus is closed")
        # Among a thousand connections of one address the newest can be closed before it has asked; a browser asks again.
        eventually(lambda: _answers(place), "the page answers")
    assert set(counts) == {"call", "probe 200"}
    assert place.running.child("dashboard") == (pid, restarts)
    assert _memory(pid) - before < 32 * 2**20
    eventually(lambda: _stream(place) == 200, "there is a stream for the next one")


def _descriptors(pid: int | None) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _memory(pid: int | None) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _stream(place: Place) -> int:
    url = f"http://127.0.0.1:{place.page}/api/stream"
    with httpx2.stream("GET", url, headers=HEADERS, timeout=30, trust_env=False) as answer:
        return answer.status_code


def test_its_end_is_quiet(place: Place) -> None:
    """A stream ends with the process; the log has no exception."""
    log = place.running.instance.log_dir / "dashboard.log"
    url = f"http://127.0.0.1:{place.page}/api/stream"
    pid, restarts = place.running.child("dashboard")
    assert pid is not None
    with httpx2.stream("GET", url, headers=HEADERS, timeout=30, trust_env=False) as answer:
        lines = answer.iter_lines()
        next(lines)
        os.kill(pid, signal.SIGTERM)
        for _ in lines:
            pass
    wait_until(lambda: place.running.child("dashboard")[1] > restarts, "the supervisor has noticed")
    assert not log.exists() or log.read_text() == ""
    eventually(lambda: _answers(place), "the page answers again")


def test_streams_of_one_browser_are_bounded(place: Place) -> None:
    """The surplus is refused with a status that a page understands."""
    head = f"GET /api/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(_open(place.page, head)) for _ in range(STREAMS_MOST + 8)]
        statuses = Counter(each.recv(12)[9:12] for each in opened)
    assert statuses == {b"200": STREAMS_MOST, b"503": 8}
