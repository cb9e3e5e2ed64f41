"""The options for the CA that issues ManagedCertificates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kiteway.acme.config import AcmeConfig
from kiteway.acme.precheck import split_address

_PANEL = "Certificates by ACME (ManagedCertificate)"

AcceptTermsOption = Annotated[
    bool,
    typer.Option("--acme-accept-terms", help="Accept the CA's terms of service.", rich_help_panel=_PANEL),
]
ContactOption = Annotated[
    str,
    typer.Option(
        "--acme-contact",
        metavar="EMAIL",
        help="The address for the CA's e-mails.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
DirectoryOption = Annotated[
    str,
    typer.Option("--acme-directory", metavar="URL", help="The URL of the CA's ACME directory.", rich_help_panel=_PANEL),
]
CaFileOption = Annotated[
    Path | None,
    typer.Option(
        "--acme-ca",
        metavar="FILE",
        help="Root certificates (PEM) that verify the server of a CA of your own.",
        rich_help_panel=_PANEL,
    ),
]
EabKidOption = Annotated[
    str,
    typer.Option(
        "--acme-eab-kid",
        metavar="ID",
        help="The key identifier of an external account binding.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
EabKeyFileOption = Annotated[
    Path | None,
    typer.Option(
        "--acme-eab-key-file",
        metavar="FILE",
        help="The file with the MAC key (base64url) of the external account binding.",
        rich_help_panel=_PANEL,
    ),
]
ResolverOption = Annotated[
    str,
    typer.Option(
        "--acme-resolver",
        metavar="ADDRESS",
        help="The DNS server for the look-ups before an order, ADDRESS or ADDRESS:PORT.",
        rich_help_panel=_PANEL,
        show_default="the system's",
    ),
]


def acme_config(config: AcmeConfig) -> AcmeConfig:
    """
    Check the options and return them as the configuration of ACME.

    Raises:
        ValueError: the value is invalid; the message says why.
    """
    if not config.directory.startswith("https://"):
        raise ValueError(f'--acme-directory "{config.directory}" is not an https URL')
    if config.contact and config.contact.count("@") != 1:
        raise ValueError(f'--acme-contact "{config.contact}" is not an e-mail address')
    if bool(config.eab_kid) != bool(config.eab_key_file):
        raise ValueError("--acme-eab-kid and --acme-eab-key-file go together")
    for option, file in (("--acme-ca", config.ca_file), ("--acme-eab-key-file", config.eab_key_file)):
        if file is not None and not Path(file).is_file():
            raise ValueError(f"{option} {file} is not a file")
    if config.resolver:
        split_address(config.resolver)
    return config
