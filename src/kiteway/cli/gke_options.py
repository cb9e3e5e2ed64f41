"""The options of `kiteway gke`, which have the names of the file's fields."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kiteway.gke.wanted import CertificateKind, DataPlane, Http

_WHAT = "What is wanted"
_WHERE = "Where"

FileOption = Annotated[
    Path | None,
    typer.Option("--file", "-f", metavar="FILE", help="These options in a YAML file.", rich_help_panel=_WHAT),
]
HostOption = Annotated[
    str | None, typer.Option("--host", metavar="NAME", help="The name clients connect to.", rich_help_panel=_WHAT)
]
CertificateOption = Annotated[
    CertificateKind | None,
    typer.Option(
        "--certificate", help="Who makes the certificate.", show_default="self-managed", rich_help_panel=_WHAT
    ),
]
DataPlaneOption = Annotated[
    DataPlane | None,
    typer.Option("--data-plane", help="Whose balancer it is.", show_default="google", rich_help_panel=_WHAT),
]
StaticIpOption = Annotated[
    str | None,
    typer.Option(
        "--static-ip-name",
        metavar="NAME",
        help="The reserved global address.",
        show_default="SERVICE-ip",
        rich_help_panel=_WHAT,
    ),
]
RestPortOption = Annotated[
    int | None,
    typer.Option(
        "--rest-port",
        min=1,
        max=65535,
        help="Milvus's proxy.http.port with TLS.",
        show_default="8080",
        rich_help_panel=_WHAT,
    ),
]
HttpOption = Annotated[
    Http | None, typer.Option("--http", help="Port 80.", show_default="disabled", rich_help_panel=_WHAT)
]
TimeoutOption = Annotated[
    int | None,
    typer.Option(
        "--timeout-sec",
        min=1,
        max=86400,
        help="BackendConfig's timeoutSec.",
        show_default="3600",
        rich_help_panel=_WHAT,
    ),
]
DrainingOption = Annotated[
    int | None,
    typer.Option(
        "--draining-timeout-sec",
        min=0,
        max=3600,
        help="BackendConfig's drainingTimeoutSec.",
        show_default="60",
        rich_help_panel=_WHAT,
    ),
]
RemoveL4Option = Annotated[
    bool | None,
    typer.Option("--remove-l4", help="At the end, remove the old Layer-4 balancer.", rich_help_panel=_WHAT),
]
ReleaseOption = Annotated[
    str | None,
    typer.Option("--release", metavar="NAME", help="Milvus's Helm release.", show_default="my-release",
                 rich_help_panel=_WHERE),
]  # fmt: skip
NamespaceOption = Annotated[
    str | None,
    typer.Option("--namespace", "-n", metavar="NAME", help="Its namespace.", show_default="default",
                 rich_help_panel=_WHERE),
]  # fmt: skip
ChartOption = Annotated[
    str | None,
    typer.Option(
        "--chart",
        metavar="CHART",
        help="The chart's reference, path or URL; its version stays.",
        show_default="milvus/milvus",
        rich_help_panel=_WHERE,
    ),
]
RepoOption = Annotated[
    str | None,
    typer.Option("--repo", metavar="URL", help="The chart's repository, with --chart milvus.", rich_help_panel=_WHERE),
]
ContextOption = Annotated[
    str, typer.Option("--context", metavar="NAME", help="The kubeconfig context.", rich_help_panel=_WHERE)
]
ProjectOption = Annotated[
    str, typer.Option("--project", metavar="ID", help="Google's project, for gcloud.", rich_help_panel=_WHERE)
]
VerifyAddressOption = Annotated[
    str | None,
    typer.Option(
        "--verify-address",
        metavar="HOST[:PORT]",
        help="Verify there instead of at the Ingress's address.",
        rich_help_panel=_WHERE,
    ),
]
CaOption = Annotated[
    Path | None,
    typer.Option("--ca", metavar="FILE", help="Trust this PEM file when verifying.", rich_help_panel=_WHERE),
]
