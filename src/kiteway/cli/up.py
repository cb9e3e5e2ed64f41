"""`kiteway up`: the balancer on this machine."""

from __future__ import annotations

import asyncio
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
    CertificateFilesOption,
    DataDirOption,
    FilesOption,
    MetricsBindOption,
    SSLPolicyOption,
    parse_certificate_files,
    parse_metrics_bind,
    parse_ssl_policies,
    parse_static_endpoint,
)
from kiteway.cli.output import fail, stderr
from kiteway.controlplane.config import Config
from kiteway.envoy.binary import EnvoyNotFoundError, find_envoy
from kiteway.envoy.settings import EnvoySettings
from kiteway.filter import filter_path, missing_reason
from kiteway.instance import Instance, InstanceError, default_data_dir
from kiteway.launch import Launch, launch
from kiteway.probe import parse_endpoint
from kiteway.quickstart import SECRET, QuickstartError, quickstart
from kiteway.supervisor import Event, NotReadyError, wait_ready

_READY_SECONDS = 60.0


def up(
    *,
    filename: FilesOption = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="HOST:PORT", help="A Milvus that runs already; no manifests needed."),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="NAME",
            help="With --to: the name clients connect by; may be repeated.",
            show_default="localhost, or those of --tls",
        ),
    ] = None,
    https_port: Annotated[int, typer.Option("--https-port", min=1, max=65535, help="The HTTPS port.")] = 8443,
    http_port: Annotated[
        int, typer.Option("--http-port", min=0, max=65535, help="The HTTP port, used as the Ingress says; 0 for none.")
    ] = 8080,
    grpc_port: Annotated[
        int | None,
        typer.Option(
            "--grpc-port",
            min=1,
            max=65535,
            help="A further port without TLS, for clients that do not use it yet.",
            show_default="none",
        ),
    ] = None,
    bind: Annotated[str, typer.Option("--bind", metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    endpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--endpoint",
            metavar="SERVICE=HOST:PORT[,health=PORT]",
            help="Where a Service's endpoints are, instead of its EndpointSlices; may be repeated.",
        ),
    ] = None,
    tls: CertificateFilesOption = None,
    ssl_policy: SSLPolicyOption = None,
    acme_accept_terms: AcceptTermsOption = False,
    acme_contact: ContactOption = "",
    acme_directory: DirectoryOption = LETS_ENCRYPT,
    acme_ca: CaFileOption = None,
    acme_eab_kid: EabKidOption = "",
    acme_eab_key_file: EabKeyFileOption = None,
    acme_resolver: ResolverOption = "",
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
    metrics_bind: MetricsBindOption = None,
    access_log: Annotated[
        bool,
        typer.Option(
            "--access-log/--no-access-log",
            help="Write logs/access.log in the data directory, as often as the BackendConfigs' logging says.",
        ),
    ] = True,
    data_dir: DataDirOption = None,
    envoy: Annotated[
        Path | None, typer.Option("--envoy", metavar="PATH", help="An Envoy binary instead of the packaged one.")
    ] = None,
    drain: Annotated[
        float, typer.Option("--drain", metavar="SECONDS", min=0, help="How long calls in flight may take at the end.")
    ] = 30.0,
    logs: Annotated[bool, typer.Option("--logs", help="Print the logs here instead of into files.")] = False,
) -> None:
    """
    Run the balancer on this machine until Ctrl-C.

    Reads manifests (Ingress, Service, BackendConfig, Secret, ...) and follows their changes, or stands in front of one
    Milvus that runs already.

    Exit status: 0 stopped, 1 it could not run, 2 usage.

    Examples:
    \b
      kiteway up --to localhost:19530
      kiteway up --to milvus.internal:19530 --host milvus.example.com --bind 0.0.0.0
      kiteway up --to milvus.internal:19530 --tls fullchain.pem,privkey.pem --bind 0.0.0.0
      kiteway up -f examples/guide-self-managed --endpoint my-release-milvus=127.0.0.1:19530
      kiteway up -f examples/guide-google-managed --http-port 80 --https-port 443 --bind 0.0.0.0 \
        --acme-accept-terms --acme-contact admin@example.com --endpoint my-release-milvus=127.0.0.1:19530
    """
    if bool(filename) == bool(to):
        raise fail("give either -f PATH (manifests) or --to HOST:PORT (a Milvus that runs already)", 2)
    if host and not to:
        raise fail("--host goes with --to; with -f the hosts are the Ingress's", 2)
    try:
        endpoints = tuple(parse_static_endpoint(text) for text in endpoint or [])
        target = parse_endpoint(to, 19530) if to else None
        metrics = parse_metrics_bind(metrics_bind) if metrics_bind else None
        certificates = tuple(parse_certificate_files(text, SECRET if to else None) for text in tls or [])
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
        binary = find_envoy(envoy)
    except (ValueError, EnvoyNotFoundError) as error:
        raise fail(str(error), 2) from error
    instance = Instance(data_dir or default_data_dir())
    settings = EnvoySettings(
        bind=bind,
        https_port=https_port,
        http_port=http_port or None,
        grpc_port=grpc_port,
        public_https_port=https_port,
        trusted_hops=trusted_hops,
        proxy_protocol=proxy_protocol,
        filter_path=filter_path(),
        access_log=instance.log_dir / "access.log" if access_log else None,
    )
    if settings.filter_path is None:
        stderr.print(f"[yellow]note:[/yellow] {missing_reason()}")
    try:
        with instance.acquire():
            paths = [str(path.absolute()) for path in filename or []]
            if target is not None:
                stderr.print(f"looking at {target.host}:{target.port}")
                found = quickstart(
                    instance, target.host, target.port, tuple(host or []), own_certificate=not certificates
                )
                for line in found.notes:
                    stderr.print(line)
                paths, endpoints = [str(found.manifests)], (*endpoints, found.endpoint)
            config = Config(
                str(instance.data_dir),
                tuple(paths),
                settings,
                endpoints,
                acme=acme,
                certificates=certificates,
                ssl_policies=policies,
                metrics_bind=metrics,
            )
            code = asyncio.run(_run(Launch(instance, config, binary, drain_seconds=drain, to_stderr=logs)))
    except (InstanceError, QuickstartError) as error:
        raise fail(str(error)) from error
    raise typer.Exit(code)


async def _run(what: Launch) -> int:
    settings = what.config.settings
    running = asyncio.create_task(launch(what, _print_event))
    ready = asyncio.create_task(wait_ready(what.instance, _READY_SECONDS))
    await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
    if ready.done() and not ready.cancelled():
        try:
            ready.result()
        except NotReadyError as error:
            stderr.print(f"[red]error:[/red] {error}")
            stderr.print(f"logs: {what.instance.log_dir}")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            return 1
        stderr.print(
            f"[green]ready[/green]: https://{settings.bind}:{settings.https_port}; `kiteway status` tells more, "
            "Ctrl-C ends it"
        )
    ready.cancel()
    return await running


def _print_event(event: Event) -> None:
    if event.what in {"failed", "draining", "killed"}:
        stderr.print(f"{event.child}: {event.what} {event.detail}".rstrip())
