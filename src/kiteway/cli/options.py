"""Options of several commands. It imports little, because every command waits for it."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

import typer

CLUSTER_PANEL = "Cluster"
KubeconfigOption = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig",
        metavar="FILE",
        help="The kubeconfig: cluster and credentials.",
        show_default="the Pod's service account, else $KUBECONFIG, else ~/.kube/config",
        rich_help_panel=CLUSTER_PANEL,
    ),
]
FilesOption = Annotated[
    list[Path] | None,
    typer.Option("--filename", "-f", metavar="PATH", help="A manifest, or a folder of them; may be repeated."),
]
RecursiveOption = Annotated[
    bool, typer.Option("--recursive", "-R", help="With -f: read the subfolders of folders, too.", show_default=False)
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="The directory with the instance's files.",
        show_default="~/.local/state/kiteway",
    ),
]
MetricsBindOption = Annotated[
    str | None,
    typer.Option(
        "--metrics-bind",
        metavar="ADDRESS:PORT",
        help="The address for /metrics (Prometheus), /ready and /live, without TLS or credentials.",
        show_default="none",
    ),
]
AccessLogOption = Annotated[
    bool,
    typer.Option(
        "--access-log/--no-access-log",
        help="Write logs/access.log in the data directory; the logging field of a BackendConfig sets the share.",
    ),
]
LogCallsOption = Annotated[
    bool,
    typer.Option(
        "--log-calls",
        help="Also log the content of gRPC calls and answers: users, names of databases and collections, nq, limit, "
        "consistency, rows, Milvus's code. A Search then costs Envoy a quarter more instructions.",
    ),
]


def parse_bind(text: str, option: str, example: str) -> str:
    """
    Read the ``ADDRESS:PORT`` of ``option``; ``example`` is a valid one.

    Raises:
        ValueError: the value is invalid; the message says why.
    """
    address, _, port = text.rpartition(":")
    if not address or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError(f'"{text}" of {option} is not ADDRESS:PORT, e.g. {example}')
    try:
        ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        raise ValueError(f'"{address}" of {option} is not an IP address, e.g. 127.0.0.1') from None
    return text


def parse_metrics_bind(text: str) -> str:
    """Read ``ADDRESS:PORT``, where the metrics are served. Raises ``ValueError``."""
    return parse_bind(text, "--metrics-bind", "127.0.0.1:9092")


CacheMemoryOption = Annotated[
    int,
    typer.Option(
        "--cache-memory",
        metavar="BYTES",
        min=0,
        help="The memory of the caches of all namespaces together; the oldest MilvusPolicies keep theirs.",
    ),
]
