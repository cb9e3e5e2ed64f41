"""The options of the web page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from kiteway.cli.options import parse_bind
from kiteway.dashboard.config import DashboardConfig

_PANEL = "Web page"

DashboardOption = Annotated[
    str | None,
    typer.Option(
        "--dashboard",
        metavar="ADDRESS:PORT",
        help="Serve a web page of this instance there, read-only (docs/how-to/dashboard.md). An address other than "
        "loopback needs --dashboard-token-file.",
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


def dashboard_config(bind: str | None, token_file: Path | None, hosts: Sequence[str]) -> DashboardConfig | None:
    """
    Return the web page that the options ask for; None: there is none.

    Raises:
        ValueError: an option is invalid, or the page could be read by everyone; the message says what to do.
    """
    if bind is None:
        if token_file is not None or hosts:
            raise ValueError(
                "--dashboard-token-file and --dashboard-host go with --dashboard, e.g. --dashboard 127.0.0.1:9090"
            )
        return None
    for host in hosts:
        if _HOST.fullmatch(host) is None:
            raise ValueError(f'"{host}" of --dashboard-host is not a DNS name, e.g. kiteway.example.com')
    config = DashboardConfig(
        bind=parse_bind(bind, "--dashboard", "127.0.0.1:9090"),
        token_file=str(token_file.absolute()) if token_file else None,
        hosts=tuple(hosts),
    )
    config.check()
    return config
