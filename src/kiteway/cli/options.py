"""Options that several commands take, and how their texts are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kiteway.controlplane.config import StaticEndpoint
from kiteway.probe import parse_endpoint

FilesOption = Annotated[
    list[Path] | None,
    typer.Option("--filename", "-f", metavar="PATH", help="A manifest, or a folder of them; may be repeated."),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", metavar="DIR", help="Where the instance keeps its files.", show_default="~/.local/state/kiteway"
    ),
]


def parse_static_endpoint(text: str) -> StaticEndpoint:
    """
    Read ``[NAMESPACE/]SERVICE=HOST:PORT[,health=PORT]``.

    Raises:
        ValueError: with a sentence.
    """
    service, equals, rest = text.partition("=")
    address, *extras = rest.split(",")
    if not equals or not service or not address:
        raise ValueError(f'"{text}" is not SERVICE=HOST:PORT[,health=PORT], e.g. my-release-milvus=127.0.0.1:19530')
    namespace, _, name = service.rpartition("/")
    endpoint = parse_endpoint(address, 19530)
    health: int | None = None
    for extra in extras:
        key, _, value = extra.partition("=")
        if key != "health" or not value.isdecimal() or not 1 <= int(value) <= 65535:
            raise ValueError(f'"{extra}" in "{text}" is not health=PORT')
        health = int(value)
    return StaticEndpoint(namespace or "default", name, endpoint.host, endpoint.port, health)
