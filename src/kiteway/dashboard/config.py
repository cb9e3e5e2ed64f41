"""The configuration of the web page: a 0600 JSON file, as arguments are visible to every user."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import msgspec

from kiteway.dashboard.tls import TLSFiles
from kiteway.files import read_secret

TOKEN_BYTES_LEAST = 16
"""The shortest token, in bytes. A random one of this length cannot be guessed over a network."""
_TOKEN_BYTES_MOST = 4096


class DashboardConfig(msgspec.Struct, frozen=True, kw_only=True):
    """
    The configuration of the web page.

    Attributes:
        bind: ``ADDRESS:PORT``, an IPv6 address in brackets.
        token_file: the file with the bearer token; None: there is none.
        tls: the files of its certificate; None: the page is served in plaintext.
        behind_tls: whether something in front of a page in plaintext ends TLS.
        hosts: the DNS names under which browsers reach the page, besides ``localhost``.
    """

    bind: str
    token_file: str | None = None
    tls: TLSFiles | None = None
    behind_tls: bool = False
    hosts: tuple[str, ...] = ()

    @property
    def address(self) -> tuple[str, int]:
        """The IP address without brackets, and the port."""
        host, _, port = self.bind.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the page."""
        return ipaddress.ip_address(self.address[0]).is_loopback

    @property
    def url(self) -> str:
        """The address for a browser on this machine; one of the machine's addresses stands for all of them."""
        host, port = self.address
        if ipaddress.ip_address(host).is_unspecified:
            host = "::1" if ":" in host else "127.0.0.1"
        return f"{'https' if self.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/"

    def check(self) -> None:
        """
        Check that the files can be used, and that a page that other machines can reach is protected.

        Such a page has a token or client certificates, and nothing of it crosses the network in plaintext.

        Raises:
            ValueError: it is not protected, or a file cannot be used; the message says what to do.
        """
        if self.token_file is not None:
            read_token(Path(self.token_file))
        if self.tls is not None:
            self.tls.context()
        if self.is_local:
            return
        if self.token_file is None and not (self.tls and self.tls.client_ca):
            raise ValueError(
                f"--dashboard {self.bind} is not a loopback address, so other machines could read the page: it needs a "
                "token. Write one (`(umask 077; openssl rand -hex 32 > FILE)`) and add --dashboard-token-file FILE, or give "
                "127.0.0.1 as the address. Client certificates (--dashboard-client-ca FILE) can take the place of the token."
            )
        if self.tls is None and not self.behind_tls:
            raise ValueError(
                f"--dashboard {self.bind} is not a loopback address, so the token would cross the network in plaintext: add "
                "--dashboard-certificate FILE and --dashboard-key FILE. If a proxy in front of the page ends TLS, and no other program can "
                "listen between the two, add --dashboard-behind-tls."
            )


def read_token(file: Path) -> bytes:
    """
    Return the token in ``file``, without white space around it.

    Raises:
        ValueError: the file cannot be read, every user of the machine can read it, or the token is too short or too long.
    """
    token = read_secret(file, "the token", "--dashboard-token-file", _TOKEN_BYTES_MOST).strip()
    if not TOKEN_BYTES_LEAST <= len(token) <= _TOKEN_BYTES_MOST or not token.isascii():
        raise ValueError(
            f"the token in {file} has {len(token)} bytes, or is not ASCII; it needs {TOKEN_BYTES_LEAST} to "
            f"{_TOKEN_BYTES_MOST} bytes. `openssl rand -hex 32` makes one."
        )
    return token


def read(file: Path) -> DashboardConfig:
    """Read a configuration. Raises ``msgspec.ValidationError``, ``OSError``."""
    return msgspec.json.decode(file.read_bytes(), type=DashboardConfig)
