"""`kiteway controller`: the balancer of a Kubernetes cluster."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Annotated

import typer

from kiteway.certificates.acme.config import LETS_ENCRYPT, AcmeConfig
from kiteway.cli.acme import (
    AcceptTermsOption,
    CaFileOption,
    ContactOption,
    DirectoryOption,
    EabKeyFileOption,
    EabKidOption,
    ResolverOption,
    acme_config,
)
from kiteway.cli.options import (
    DataDirOption,
    MetricsBindOption,
    SSLPolicyOption,
    parse_metrics_bind,
    parse_ssl_policies,
)
from kiteway.cli.output import fail, stderr
from kiteway.controlplane.config import Config
from kiteway.envoy.binary import EnvoyNotFoundError, find_envoy
from kiteway.envoy.settings import EnvoySettings
from kiteway.filter import filter_path, missing_reason
from kiteway.instance import Instance, InstanceError, default_data_dir
from kiteway.launch import Launch, launch
from kiteway.sources.kubernetes.config import KubernetesConfig
from kiteway.supervisor import Event

_CLUSTER = "Cluster"
_HTTPS = 443


def controller(
    *,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            "--kubeconfig",
            metavar="FILE",
            help="Which cluster, and who we are there.",
            show_default="the Pod's service account, else $KUBECONFIG, else ~/.kube/config",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    namespace: Annotated[
        list[str] | None,
        typer.Option(
            "--namespace",
            "-n",
            metavar="NAME",
            help="A namespace to look at; may be repeated.",
            show_default="all",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    ingress_class: Annotated[
        str,
        typer.Option("--ingress-class", metavar="NAME", help="The class of our Ingresses.", rich_help_panel=_CLUSTER),
    ] = "kiteway",
    ssl_policy: SSLPolicyOption = None,
    classless: Annotated[
        bool | None,
        typer.Option(
            "--ingress-without-class/--no-ingress-without-class",
            help="Whether an Ingress without a class is ours.",
            show_default="unless the cluster is GKE",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    publish_service: Annotated[
        str,
        typer.Option(
            "--publish-service",
            metavar="NAMESPACE/NAME",
            help="The Service in front of Kiteway: its addresses become those of the Ingresses.",
            show_default="none",
            rich_help_panel=_CLUSTER,
        ),
    ] = "",
    publish_address: Annotated[
        list[str] | None,
        typer.Option(
            "--publish-address",
            metavar="IP|NAME",
            help="The address of the Ingresses instead; may be repeated.",
            show_default="none",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    lease_namespace: Annotated[
        str,
        typer.Option(
            "--lease-namespace",
            metavar="NAME",
            help="Kiteway's own namespace: its Leases, and the Secrets of ACME.",
            envvar="POD_NAMESPACE",
            rich_help_panel=_CLUSTER,
        ),
    ] = "default",
    readiness_gate: Annotated[
        bool,
        typer.Option(
            "--readiness-gate", help="Keep the Pods' gate kiteway.io/load-balancer-ready.", rich_help_panel=_CLUSTER
        ),
    ] = False,
    https_port: Annotated[int, typer.Option("--https-port", min=1, max=65535, help="The HTTPS port.")] = 8443,
    http_port: Annotated[
        int, typer.Option("--http-port", min=0, max=65535, help="The HTTP port, used as the Ingress says; 0 for none.")
    ] = 8080,
    public_https_port: Annotated[
        int, typer.Option("--public-https-port", min=1, max=65535, help="The HTTPS port that clients see.")
    ] = 443,
    bind: Annotated[str, typer.Option("--bind", metavar="ADDRESS", help="The address to listen on.")] = "0.0.0.0",  # noqa: S104 - a Pod is reached by its address
    trusted_hops: Annotated[
        int,
        typer.Option(
            "--trusted-hops",
            metavar="N",
            min=0,
            help="How many proxies before this one x-forwarded-for is believed of.",
        ),
    ] = 0,
    proxy_protocol: Annotated[
        bool,
        typer.Option("--proxy-protocol", help="Every connection begins with a PROXY protocol header (v1 or v2)."),
    ] = False,
    acme_accept_terms: AcceptTermsOption = False,
    acme_contact: ContactOption = "",
    acme_directory: DirectoryOption = LETS_ENCRYPT,
    acme_ca: CaFileOption = None,
    acme_eab_kid: EabKidOption = "",
    acme_eab_key_file: EabKeyFileOption = None,
    acme_resolver: ResolverOption = "",
    metrics_bind: MetricsBindOption = None,
    data_dir: DataDirOption = None,
    envoy: Annotated[
        Path | None, typer.Option("--envoy", metavar="PATH", help="An Envoy binary instead of the packaged one.")
    ] = None,
    drain: Annotated[
        float, typer.Option("--drain", metavar="SECONDS", min=0, help="How long calls in flight may take at the end.")
    ] = 30.0,
    logs: Annotated[bool, typer.Option("--logs/--log-files", help="Print the logs, or write them into files.")] = True,
) -> None:
    """
    Run the balancer of a Kubernetes cluster until told to stop.

    Follows Ingresses, Services, EndpointSlices, TLS Secrets and GKE's kinds, balances what they say, and writes the
    status that GKE would have written. Every replica serves; one of them writes.

    Exit status: 0 stopped, 1 it could not run, 2 usage.

    Examples:
    \b
      kiteway controller --publish-service kiteway/kiteway
      kiteway controller --kubeconfig ~/.kube/config --namespace milvus --publish-address 203.0.113.7
    """
    try:
        import lightkube as _  # noqa: F401 - the extra is there
    except ImportError as error:
        raise fail("the extra for Kubernetes is not installed: pip install 'kiteway[kubernetes]'") from error
    from kiteway.sources.kubernetes.api import NoClusterError, read_kubeconfig

    if publish_service and publish_service.count("/") != 1:
        raise fail(f'--publish-service "{publish_service}" is not NAMESPACE/NAME', 2)
    if kubeconfig is not None and not kubeconfig.is_file():
        raise fail(f"--kubeconfig {kubeconfig} is not a file", 2)
    try:
        acme = acme_config(
            AcmeConfig(
                directory=acme_directory,
                accept_terms=acme_accept_terms,
                contact=acme_contact,
                ca_file=str(acme_ca.absolute()) if acme_ca else None,
                eab_kid=acme_eab_kid,
                eab_key_file=str(acme_eab_key_file.absolute()) if acme_eab_key_file else None,
                resolver=acme_resolver,
            )
        )
        policies = parse_ssl_policies(ssl_policy or [])
        metrics = parse_metrics_bind(metrics_bind) if metrics_bind else None
        binary = find_envoy(envoy)
        # The control plane reads it again; what is wrong with it is said here, once, instead of in its log for ever.
        read_kubeconfig(str(kubeconfig.absolute()) if kubeconfig else "")
    except (ValueError, EnvoyNotFoundError, NoClusterError) as error:
        raise fail(str(error), 2) from error
    instance = Instance(data_dir or default_data_dir())
    settings = EnvoySettings(
        bind=bind,
        https_port=https_port,
        http_port=http_port or None,
        public_https_port=None if public_https_port == _HTTPS else public_https_port,
        trusted_hops=trusted_hops,
        proxy_protocol=proxy_protocol,
        filter_path=filter_path(),
    )
    if settings.filter_path is None:
        stderr.print(f"[yellow]note:[/yellow] {missing_reason()}")
    kubernetes = KubernetesConfig(
        kubeconfig=str(kubeconfig.absolute()) if kubeconfig else "",
        namespaces=tuple(sorted(set(namespace or ()))),
        classless=classless,
        publish_service=publish_service,
        publish_addresses=tuple(publish_address or ()),
        lease_namespace=lease_namespace,
        identity=f"{socket.gethostname()}_{os.urandom(4).hex()}",
        readiness_gate=readiness_gate,
    )
    config = Config(
        str(instance.data_dir),
        (),
        settings,
        ingress_class=ingress_class,
        acme=acme,
        ssl_policies=policies,
        metrics_bind=metrics,
        kubernetes=kubernetes,
    )
    try:
        with instance.acquire():
            what = Launch(instance, config, binary, drain_seconds=drain, to_stderr=logs)
            code = asyncio.run(launch(what, _print_event))
    except InstanceError as error:
        raise fail(str(error)) from error
    raise typer.Exit(code)


def _print_event(event: Event) -> None:
    if event.what in {"failed", "draining", "killed"}:
        stderr.print(f"{event.child}: {event.what} {event.detail}".rstrip())
