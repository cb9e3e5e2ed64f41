"""The options of `kiteway gke`; they have the names of the file's fields."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from kiteway.cli.options import CLUSTER_PANEL
from kiteway.gke.options import CertificateKind, DataPlane, Http
from kiteway.gke.shell import Shell

_WHAT = "Target"
_WHERE = CLUSTER_PANEL
_VERIFYING = "Verification"


ReleaseOption = Annotated[
    str | None,
    typer.Option(
        "--release",
        metavar="NAME",
        help="Milvus's Helm release.",
        show_default="my-release",
        rich_help_panel=_WHERE,
    ),
]
NamespaceOption = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAME",
        help="The namespace of the release.",
        show_default="default",
        rich_help_panel=_WHERE,
    ),
]
ContextOption = Annotated[
    str, typer.Option("--context", metavar="NAME", help="The kubeconfig context.", rich_help_panel=_WHERE)
]


@dataclass(frozen=True)
class Where:
    """The release and the cluster; options of every command."""

    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="These options in a YAML file.", rich_help_panel=_WHERE),
    ] = None
    release: ReleaseOption = None
    namespace: NamespaceOption = None
    context: ContextOption = ""
    project: Annotated[
        str, typer.Option("--project", metavar="ID", help="Google's project, for gcloud.", rich_help_panel=_WHERE)
    ] = ""

    @property
    def shell(self) -> Shell:
        """Return the shell for commands to that cluster."""
        return Shell(self.context, self.project)

    def named(self) -> dict[str, Any]:
        """Return the fields of the file that are among these options."""
        return {"release": self.release, "namespace": self.namespace}


@dataclass(frozen=True)
class Wish:
    """The target state; every field is also a field of the file, and None if the option is not given."""

    host: Annotated[
        str | None,
        typer.Option("--host", metavar="NAME", help="The host name that clients connect to.", rich_help_panel=_WHAT),
    ] = None
    certificate: Annotated[
        CertificateKind | None,
        typer.Option(
            "--certificate",
            help="The issuer of the certificate for clients.",
            show_default="self-managed",
            rich_help_panel=_WHAT,
        ),
    ] = None
    data_plane: Annotated[
        DataPlane | None,
        typer.Option(
            "--data-plane",
            help="The balancer: Google's, Kiteway, or both.",
            show_default="google",
            rich_help_panel=_WHAT,
        ),
    ] = None
    static_ip_name: Annotated[
        str | None,
        typer.Option(
            "--static-ip-name",
            metavar="NAME",
            help="The name of the reserved global address.",
            show_default="SERVICE-ip",
            rich_help_panel=_WHAT,
        ),
    ] = None
    rest_port: Annotated[
        int | None,
        typer.Option(
            "--rest-port",
            min=1,
            max=65535,
            help="Milvus's proxy.http.port with TLS.",
            show_default="8080",
            rich_help_panel=_WHAT,
        ),
    ] = None
    http: Annotated[
        Http | None, typer.Option("--http", help="Port 80.", show_default="disabled", rich_help_panel=_WHAT)
    ] = None
    timeout_sec: Annotated[
        int | None,
        typer.Option(
            "--timeout-sec",
            min=1,
            max=86400,
            help="BackendConfig's timeoutSec.",
            show_default="3600",
            rich_help_panel=_WHAT,
        ),
    ] = None
    draining_timeout_sec: Annotated[
        int | None,
        typer.Option(
            "--draining-timeout-sec",
            min=0,
            max=3600,
            help="BackendConfig's drainingTimeoutSec.",
            show_default="60",
            rich_help_panel=_WHAT,
        ),
    ] = None
    remove_l4: Annotated[
        bool | None,
        typer.Option("--remove-l4", help="At the end, remove the old Layer-4 balancer.", rich_help_panel=_WHAT),
    ] = None
    chart: Annotated[
        str | None,
        typer.Option(
            "--chart",
            metavar="CHART",
            help="Milvus's chart: a reference, path or URL; its version does not change.",
            show_default="milvus/milvus",
            rich_help_panel=_WHAT,
        ),
    ] = None
    repo: Annotated[
        str | None,
        typer.Option(
            "--repo", metavar="URL", help="The chart's repository, with --chart milvus.", rich_help_panel=_WHAT
        ),
    ] = None

    def named(self) -> dict[str, Any]:
        """Return the fields by the file's names."""
        return {field.name.replace("_", "-"): getattr(self, field.name) for field in dataclasses.fields(self)}


@dataclass(frozen=True)
class Verifying:
    """The options of the verification."""

    verify_address: Annotated[
        str | None,
        typer.Option(
            "--verify-address",
            metavar="HOST[:PORT]",
            help="Verify at this address instead of the Ingress's.",
            rich_help_panel=_VERIFYING,
        ),
    ] = None
    ca: Annotated[
        Path | None,
        typer.Option("--ca", metavar="FILE", help="Trust this PEM file when verifying.", rich_help_panel=_VERIFYING),
    ] = None


PlanOnlyOption = Annotated[bool, typer.Option("--plan", help="Show the steps; write nothing.")]
