"""TLS of the web page, and client certificates in the place of its token."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from typer.testing import CliRunner

from kiteway.cli import app
from kiteway.dashboard.access import Access
from kiteway.dashboard.config import DashboardConfig
from kiteway.dashboard.server import LIMITS
from kiteway.dashboard.tls import NewestTLS, TLSFiles
from kiteway.files import write_atomic
from tests.support.certificates import Issued, authority, issue
from tests.support.dashboard import MadeUp, served

pytestmark = pytest.mark.anyio
TOKEN = "0123456789abcdef-token"
HEADERS = {"authorization": f"Bearer {TOKEN}"}
CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)


class Place(NamedTuple):
    """A folder with the page's certificate, the CA of its readers, and the token."""

    folder: Path
    server: Issued
    readers: Issued

    @property
    def files(self) -> TLSFiles:
        """The files with a CA of readers."""
        return TLSFiles(str(self.folder / "tls.crt"), str(self.folder / "tls.key"), str(self.folder / "readers.crt"))

    @property
    def token(self) -> Path:
        """The file with the token."""
        return self.folder / "token"

    def put(self, server: Issued) -> None:
        """Replace certificate and key."""
        write_atomic(self.folder / "tls.key", server.pem, 0o600)
        write_atomic(self.folder / "tls.crt", server.crt)

    def trusting(self, reader: Issued | None = None, server: Issued | None = None) -> ssl.SSLContext:
        """Return what a reader with this certificate begins a connection with."""
        context = ssl.create_default_context(cadata=(server or self.server).crt.decode())
        if reader is not None:
            file = self.folder / "reader.pem"
            write_atomic(file, reader.pem + reader.crt, 0o600)
            context.load_cert_chain(file)
        return context


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Write the files."""
    found = Place(tmp_path, issue("localhost", ips=["127.0.0.1"]), authority("Readers"))
    found.put(found.server)
    (tmp_path / "readers.crt").write_bytes(found.readers.crt)
    write_atomic(found.token, TOKEN.encode(), 0o600)
    return found


class Page(NamedTuple):
    """A page that is served at ``url``."""

    url: str

    async def ask(self, context: ssl.SSLContext, **headers: str) -> int:
        """Ask for the overview, and return the HTTP status."""
        async with httpx2.AsyncClient(verify=context, trust_env=False, timeout=30) as client:
            return (await client.get(f"{self.url}/api/overview", headers=headers)).status_code


@contextlib.asynccontextmanager
async def serving(access: Access, files: TLSFiles) -> AsyncIterator[Page]:
    """Serve a page."""
    async with served(MadeUp(1, 1), access, NewestTLS(files)) as (_, url):
        yield Page(url)


async def test_the_page_is_served_over_https(place: Place) -> None:
    """With the token it answers, without it does not; a client in plaintext gets nothing."""
    async with serving(Access(place.token), place.files) as page:
        assert await page.ask(place.trusting(), **HEADERS) == 200
        assert await page.ask(place.trusting()) == 401
        with pytest.raises(httpx2.TransportError):
            async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
                await client.get(page.url.replace("https", "http"), headers=HEADERS)
        with pytest.raises(httpx2.ConnectError):
            await page.ask(place.trusting(server=issue("localhost", ips=["127.0.0.1"])), **HEADERS)


async def test_a_client_certificate_takes_the_place_of_the_token(place: Place) -> None:
    """With both either opens the page; with the CA alone only a certificate does."""
    reader = issue("alice", issuer=place.readers, extended=CLIENT)
    async with serving(Access(place.token, certificates=True), place.files) as page:
        assert await page.ask(place.trusting(reader)) == 200
        assert await page.ask(place.trusting(), **HEADERS) == 200
        assert await page.ask(place.trusting()) == 401
    async with serving(Access(certificates=True), place.files) as page:
        assert await page.ask(place.trusting(reader)) == 200
        assert await page.ask(place.trusting(), **HEADERS) == 401


@pytest.mark.parametrize("what", ["of another CA", "expired", "of a server"])
async def test_no_other_certificate_does(place: Place, what: str) -> None:
    """The handshake fails."""
    reader = {
        "of another CA": lambda: issue("alice", issuer=authority("Readers"), extended=CLIENT),
        "expired": lambda: issue("alice", issuer=place.readers, extended=CLIENT, end=dt.timedelta(minutes=-1)),
        "of a server": lambda: issue("alice", issuer=place.readers),
    }[what]()
    async with serving(Access(place.token, certificates=True), place.files) as page:
        with pytest.raises(httpx2.TransportError):
            await page.ask(place.trusting(reader), **HEADERS)


async def test_without_a_ca_of_readers_no_certificate_opens_the_page(place: Place) -> None:
    """The page does not even ask for one."""
    files = TLSFiles(place.files.certificate, place.files.key)
    async with serving(Access(place.token), files) as page:
        assert await page.ask(place.trusting(issue("alice", issuer=place.readers, extended=CLIENT))) == 401


async def _served(url: str) -> bytes:
    """Return the certificate that a new connection gets."""
    host, _, port = url.removeprefix("https://").partition(":")
    return (await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)), timeout=30)).encode()


def _same(pem: bytes, issued: Issued) -> bool:
    return x509.load_pem_x509_certificate(pem) == issued.certificate


async def test_a_replaced_certificate_is_served_at_once(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Half of a pair, or a file that is gone, leaves the old one in force, and the log says why."""
    other = issue("localhost", ips=["127.0.0.1"])
    async with serving(Access(place.token), place.files) as page:
        assert _same(await _served(page.url), place.server)
        write_atomic(place.folder / "tls.key", other.pem, 0o600)
        assert _same(await _served(page.url), place.server)
        assert "stays as it was" in capsys.readouterr().err
        write_atomic(place.folder / "tls.crt", other.crt)
        assert _same(await _served(page.url), other)
        (place.folder / "tls.crt").unlink()
        assert _same(await _served(page.url), other)
        assert await page.ask(place.trusting(server=other), **HEADERS) == 200


async def test_a_replaced_ca_of_readers_is_in_force_at_once(place: Place) -> None:
    """A certificate of the old one opens nothing any more."""
    reader = issue("alice", issuer=place.readers, extended=CLIENT)
    async with serving(Access(certificates=True), place.files) as page:
        assert await page.ask(place.trusting(reader)) == 200
        write_atomic(place.folder / "readers.crt", authority("Others").crt)
        with pytest.raises(httpx2.TransportError):
            await page.ask(place.trusting(reader))


async def test_handshakes_that_never_end_exclude_nobody(place: Place) -> None:
    """They are among the connections that are limited, and end after their time."""
    async with serving(Access(place.token), place.files) as page:
        port = int(page.url.rpartition(":")[2])
        with contextlib.ExitStack() as stack:
            opened = []
            for number in range(300):
                one = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                if number % 2:
                    one.sendall(b"\x16\x03\x01\x02")  # the beginning of a ClientHello
                one.setblocking(False)
                opened.append(one)
                if number % 50 == 0:
                    await asyncio.sleep(0)
            assert await page.ask(place.trusting(), **HEADERS) == 200
            assert sum(not _ended(one) for one in opened[1::2]) <= LIMITS.of_a_peer
            for one in opened:
                await asyncio.wait_for(_until_ended(one), 60)
            assert await page.ask(place.trusting(), **HEADERS) == 200


async def _until_ended(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        await asyncio.get_running_loop().sock_recv(one, 1)


def _ended(one: socket.socket) -> bool:
    try:
        return one.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_beyond_loopback_a_certificate_is_enough(place: Place) -> None:
    """With a token, or with the CA of its readers; with neither everyone could read it."""
    DashboardConfig(bind="0.0.0.0:9090", tls=place.files).check()
    without = TLSFiles(place.files.certificate, place.files.key)
    DashboardConfig(bind="0.0.0.0:9090", tls=without, token_file=str(place.token)).check()
    with pytest.raises(ValueError, match="needs a token"):
        DashboardConfig(bind="0.0.0.0:9090", tls=without).check()
    assert DashboardConfig(bind="0.0.0.0:9090", tls=without).url == "https://127.0.0.1:9090/"


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda place: (place.folder / "tls.key").chmod(0o644), "every user of this machine can use the key in"),
        (lambda place: (place.folder / "tls.key").unlink(), "of --dashboard-key cannot be read"),
        (lambda place: (place.folder / "tls.crt").unlink(), "of --dashboard-certificate cannot be read"),
        (lambda place: (place.folder / "tls.crt").write_text("x"), "no valid PEM certificates"),
        (lambda place: write_atomic(place.folder / "tls.key", issue("a").pem, 0o600), "of --dashboard-key"),
        (lambda place: (place.folder / "readers.crt").write_text("x"), "of --dashboard-client-ca"),
    ],
)
def test_files_that_cannot_be_used_are_refused(place: Place, break_it: Callable[[Place], object], words: str) -> None:
    """The message names the option and says what to do."""
    break_it(place)
    with pytest.raises(ValueError, match=words):
        DashboardConfig(bind="127.0.0.1:1", tls=place.files).check()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--dashboard-certificate", "x"], "go together"),
        (["--dashboard-key", "x"], "go together"),
        (["--dashboard-client-ca", "x"], "--dashboard-client-ca needs TLS"),
        (
            ["--dashboard-behind-tls", "--dashboard-certificate", "x", "--dashboard-key", "x"],
            "leave out one of the two",
        ),
    ],
)
def test_options_that_do_not_fit_are_a_usage_error(given: list[str], words: str) -> None:
    """Before anything starts."""
    done = CliRunner().invoke(app, ["up", "--to", "127.0.0.1:1", "--dashboard", "127.0.0.1:9090", *given])
    assert done.exit_code == 2
    assert words in done.output


def test_they_need_the_page() -> None:
    """Each of them."""
    for given in (["--dashboard-behind-tls"], ["--dashboard-key", "x"], ["--dashboard-client-ca", "x"]):
        done = CliRunner().invoke(app, ["up", "--to", "127.0.0.1:1", *given])
        assert done.exit_code == 2
        assert "go with --dashboard" in done.output
