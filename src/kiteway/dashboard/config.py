"""The configuration of the web page: a 0600 JSON file, as arguments are visible to every user."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import msgspec

TOKEN_BYTES_LEAST = 16
"""The shortest token, in bytes. A random one of this length cannot be guessed over a network."""
_TOKEN_BYTES_MOST = 4096


class DashboardConfig(msgspec.Struct, frozen=True, kw_only=True):
    """
    The configuration of the web page.

    Attributes:
        bind: ``ADDRESS:PORT``, an IPv6 address in brackets.
        token_file: the file with the bearer token; None: every request is answered, which `check` permits on loopback only.
        hosts: the DNS names under which browsers reach the page, besides ``localhost``.
    """

    bind: str
    token_file: str | None = None
    hosts: tuple[str, ...] = ()

    @property
    def address(self) -> tuple[str, int]:
        """The IP address without brackets, and the port."""
        host, _, port = self.bind.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def url(self) -> str:
        """The address for a browser on this machine; one of the machine's addresses stands for all of them."""
        host, port = self.address
        if ipaddress.ip_address(host).is_unspecified:
            host = "::1" if ":" in host else "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    def check(self) -> None:
        """
        Check that a page that other machines can reach has a token.

        Raises:
            ValueError: it has none, or the token cannot be used; the message says what to do.
        """
        if self.token_file is not None:
            read_token(Path(self.token_file))
        elif not ipaddress.ip_address(self.address[0]).is_loopback:
            raise ValueError(
                f"--dashboard {self.bind} is not a loopback address, so other machines could read the page: it needs a "
                "token. Write one (`(umask 077; openssl rand -hex 32 > FILE)`) and add --dashboard-token-file FILE, or give "
                "127.0.0.1 as the address."
            )


def read_token(file: Path) -> bytes:
    """
    Return the token in ``file``, without white space around it.

    Raises:
        ValueError: the file cannot be read, every user of the machine can read it, or the token is too short or too long.
    """
    try:
        with file.open("rb") as opened:
            content, mode = opened.read(_TOKEN_BYTES_MOST + 1), file.stat().st_mode
    except OSError as error:
        raise ValueError(
            f"the file {file} of --dashboard-token-file cannot be read: {error.strerror or error}"
        ) from error
    if mode & 0o007:
        raise ValueError(f"every user of this machine can use the token in {file}; run `chmod o= {file}`")
    token = content.strip()
    if not TOKEN_BYTES_LEAST <= len(token) <= _TOKEN_BYTES_MOST or not token.isascii():
        raise ValueError(
            f"the token in {file} has {len(token)} bytes, or is not ASCII; it needs {TOKEN_BYTES_LEAST} to "
            f"{_TOKEN_BYTES_MOST} bytes. `openssl rand -hex 32` makes one."
        )
    return token


def read(file: Path) -> DashboardConfig:
    """Read a configuration. Raises ``msgspec.ValidationError``, ``OSError``."""
    return msgspec.json.decode(file.read_bytes(), type=DashboardConfig)
