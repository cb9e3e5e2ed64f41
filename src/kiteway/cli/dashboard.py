"""The options of the web page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from kiteway.cli.options import parse_bind
from kiteway.dashboard.config import DashboardConfig
from kiteway.dashboard.tls import TLSFiles
from kiteway.hostnames import ascii_hint

_PANEL = "Web page"

DashboardOption = Annotated[
    str | None,
    typer.Option(
        "--dashboard",
        metavar="ADDRESS:PORT",
        help="Serve a web page of this instance there, read-only (docs/how-to/dashboard.md). An address other than "
        "loopback needs --dashboard-certificate, and --dashboard-token-file or --dashboard-client-ca.",
        show_default="none",
        rich_help_panel=_PANEL,
    ),
]
DashboardTokenOption = Annotated[
    Path | None,
    typer.Option(
        "--dashboard-token-file",
        metavar="FILE",
        help="A file with the token that the page asks for.",
        show_default="none",
        rich_help_panel=_PANEL,
    ),
]
DashboardCertificateOption = Annotated[
    Path | None,
    typer.Option(
        "--dashboard-certificate",
        metavar="FILE",
        help="The page's certificate chain (PEM): the page is served over HTTPS. Read again when it is replaced.",
        show_default="none",
        rich_help_panel=_PANEL,
    ),
]
DashboardKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--dashboard-key",
        metavar="FILE",
        help="The key of --dashboard-certificate (PEM).",
        show_default="none",
        rich_help_panel=_PANEL,
    ),
]
DashboardClientCaOption = Annotated[
    Path | None,
    typer.Option(
        "--dashboard-client-ca",
        metavar="FILE",
        help="CAs (PEM): a client certificate of one of them opens the page, in place of the token.",
        show_default="none",
        rich_help_panel=_PANEL,
    ),
]
DashboardBehindTlsOption = Annotated[
    bool,
    typer.Option(
        "--dashboard-behind-tls",
        help="Serve the page in plaintext also beyond loopback: a proxy in front of it ends TLS.",
        rich_help_panel=_PANEL,
    ),
]
DashboardHostOption = Annotated[
    list[str] | None,
    typer.Option(
        "--dashboard-host",
        metavar="NAME",
        help="A DNS name by which browsers reach the page, besides localhost; may be repeated.",
        show_default="none",
        rich_help_panel=_PANEL,
    ),
]

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.IGNORECASE)


def dashboard_config(
    bind: str | None,
    *,
    token_file: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    client_ca: Path | None = None,
    behind_tls: bool = False,
    hosts: Sequence[str] = (),
) -> DashboardConfig | None:
    """
    Return the web page that the options ask for; None: there is none.

    Raises:
        ValueError: an option is invalid, or the page could be read by everyone; the message says what to do.
    """
    if bind is None:
        if token_file or certificate or key or client_ca or behind_tls or hosts:
            raise ValueError(
                "the other options of the web page, --dashboard-..., go with --dashboard, e.g. --dashboard 127.0.0.1:9090"
            )
        return None
    for host in hosts:
        if _HOST.fullmatch(host) is None:
            raise ValueError(
                f'"{host}" of --dashboard-host is not a DNS name, e.g. kiteway.example.com{ascii_hint(host)}'
            )
    config = DashboardConfig(
        bind=parse_bind(bind, "--dashboard", "127.0.0.1:9090"),
        token_file=str(token_file.absolute()) if token_file else None,
        tls=_tls(certificate, key, client_ca),
        behind_tls=behind_tls,
        hosts=tuple(hosts),
    )
    if config.tls and behind_tls:
        raise ValueError("--dashboard-behind-tls is for a page without a certificate; leave out one of the two")
    config.check()
    return config


def _tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> TLSFiles | None:
    if certificate and key:
        ca = str(client_ca.absolute()) if client_ca else None
        return TLSFiles(str(certificate.absolute()), str(key.absolute()), ca)
    if certificate or key:
        raise ValueError("--dashboard-certificate and --dashboard-key go together")
    if client_ca:
        raise ValueError("--dashboard-client-ca needs TLS: add --dashboard-certificate and --dashboard-key")
    return None
