"""`kiteway controller`: the balancer of a Kubernetes cluster."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Annotated

import typer

from kiteway.cli.balancer import BalancerOptions, print_event, with_balancer_options
from kiteway.cli.options import CLUSTER_PANEL, AccessLogOption, KubeconfigOption, LogCallsOption
from kiteway.cli.output import fail
from kiteway.controlplane.config import Config
from kiteway.envoy.binary import EnvoyNotFoundError
from kiteway.extras import install_command
from kiteway.instance import Instance, InstanceError, default_data_dir
from kiteway.kubernetes.config import KubernetesConfig
from kiteway.launch import Launch, launch
from kiteway.ports import PortError, own_ports, ports_of

_HTTPS = 443


@with_balancer_options
def controller(
    *,
    kubeconfig: KubeconfigOption = None,
    namespace: Annotated[
        list[str] | None,
        typer.Option(
            "--namespace",
            "-n",
            metavar="NAME",
            help="A namespace to watch; may be repeated.",
            show_default="all",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = None,
    ingress_class: Annotated[
        str,
        typer.Option(
            "--ingress-class",
            metavar="NAME",
            help="The class of the Ingresses to serve.",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = "kiteway",
    classless: Annotated[
        bool | None,
        typer.Option(
            "--ingress-without-class/--no-ingress-without-class",
            help="Whether to serve Ingresses without a class.",
            show_default="yes, except on GKE",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = None,
    publish_service: Annotated[
        str,
        typer.Option(
            "--publish-service",
            metavar="NAMESPACE/NAME",
            help="The Service in front of Kiteway; its addresses are published in the Ingresses' status.",
            show_default="none",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = "",
    publish_address: Annotated[
        list[str] | None,
        typer.Option(
            "--publish-address",
            metavar="IP|NAME",
            help="An address to publish in the Ingresses' status instead; may be repeated.",
            show_default="none",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = None,
    lease_namespace: Annotated[
        str,
        typer.Option(
            "--lease-namespace",
            metavar="NAME",
            help="Kiteway's own namespace: its Leases, and the Secrets of ACME.",
            envvar="POD_NAMESPACE",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = "default",
    readiness_gate: Annotated[
        bool,
        typer.Option(
            "--readiness-gate",
            help="Set the condition of the Pods' readiness gate kiteway.io/load-balancer-ready.",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = False,
    public_https_port: Annotated[
        int, typer.Option("--public-https-port", min=1, max=65535, help="The HTTPS port that clients see.")
    ] = 443,
    bind: Annotated[str, typer.Option("--bind", metavar="ADDRESS", help="The address to listen on.")] = "0.0.0.0",  # noqa: S104 - a Pod is reached by its address
    access_log: AccessLogOption = False,
    log_calls: LogCallsOption = False,
    options: BalancerOptions,
    logs: Annotated[bool, typer.Option("--logs/--log-files", help="Print the logs, or write them to files.")] = True,
) -> None:
    """
    Run the balancer of a Kubernetes cluster until SIGTERM or Ctrl-C.

    It watches Ingresses, Services, EndpointSlices, TLS Secrets and GKE's kinds, serves the Ingresses, and writes the
    status that GKE would write. Every replica serves; one of them writes.

    Exit status: 0 stopped, 1 it could not run, 2 usage error.

    Examples:
    \b
      kiteway controller --publish-service kiteway/kiteway
      kiteway controller --kubeconfig ~/.kube/config --namespace milvus --publish-address 203.0.113.7
    """
    try:
        import lightkube as _  # noqa: F401 - the extra is there
    except ImportError as error:
        raise fail(f"the extra for Kubernetes is not installed: {install_command('kubernetes')}") from error
    from kiteway.kubernetes.api import NoClusterError, read_kubeconfig

    if publish_service and publish_service.count("/") != 1:
        raise fail(f'--publish-service "{publish_service}" is not NAMESPACE/NAME', 2)
    if kubeconfig is not None and not kubeconfig.is_file():
        raise fail(f"--kubeconfig {kubeconfig} is not a file", 2)
    if log_calls and not access_log and not options.otlp_logs:
        raise fail("--log-calls adds to the access log; add --access-log or --otlp-logs", 2)
    try:
        checked = options.check()
        # The control plane reads it again. An error in it is reported here once, instead of again and again in the log.
        read_kubeconfig(str(kubeconfig.absolute()) if kubeconfig else "")
        instance = Instance(options.data_dir or default_data_dir())
        settings = options.settings(
            bind,
            public_https_port=None if public_https_port == _HTTPS else public_https_port,
            access_log=instance.log_dir / "access.log" if access_log else None,
            log_calls=log_calls,
            otlp=checked.otlp,
        )
        ports = ports_of(settings, checked.metrics_bind, checked.dashboard_bind)
        predecessor = options.predecessor(instance)
    except (ValueError, EnvoyNotFoundError, NoClusterError) as error:
        raise fail(str(error), 2) from error
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
        acme=checked.acme,
        ssl_policies=checked.ssl_policies,
        namespace_limits=checked.namespace_limits,
        cache_memory=options.cache_memory,
        metrics_bind=checked.metrics_bind,
        kubernetes=kubernetes,
    )
    try:
        with instance.acquire(), own_ports(ports, predecessor=predecessor, envoy=checked.envoy) as claims:
            what = Launch(
                instance,
                config,
                checked.envoy,
                claims,
                predecessor=predecessor,
                drain_seconds=options.drain,
                to_stderr=logs,
                dashboard=checked.dashboard,
            )
            code = asyncio.run(launch(what, print_event))
    except (InstanceError, PortError) as error:
        raise fail(str(error)) from error
    raise typer.Exit(code)
