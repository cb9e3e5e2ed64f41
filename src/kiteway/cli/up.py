"""`kiteway up`: the balancer on this machine."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from kiteway.cli.balancer import BalancerOptions, print_event, with_balancer_options
from kiteway.cli.connect import connecting
from kiteway.cli.health import tell_health
from kiteway.cli.mistakes import tell_errors
from kiteway.cli.options import AccessLogOption, FilesOption, LogCallsOption, RecursiveOption
from kiteway.cli.output import fail, stderr, stopped
from kiteway.cli.targets import parse_targets
from kiteway.cli.terminal import Part, line
from kiteway.cli.trusted import self_signed_file
from kiteway.cli.values import CertificateFilesOption, parse_certificate_files, parse_static_endpoint
from kiteway.controlplane.config import Config
from kiteway.envoy.binary import EnvoyNotFoundError
from kiteway.filter import missing_reason
from kiteway.instance import Instance, InstanceError, default_data_dir
from kiteway.launch import Launch, launch
from kiteway.ports import PortError, own_ports, ports_of
from kiteway.printable import suggested
from kiteway.quickstart import SECRET, QuickstartError, quickstart
from kiteway.report.status import State, Status
from kiteway.sources.folders import not_read
from kiteway.status.client import read_status
from kiteway.supervisor import NotReadyError, wait_ready

_READY_SECONDS = 60.0


@with_balancer_options
def up(
    given: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    *,
    filename: FilesOption = None,
    recursive: RecursiveOption = False,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="HOST:PORT[,health=PORT|none]",
            help="A Milvus that runs already; no manifests needed. Kiteway makes the Service milvus and the Ingress milvus for "
            "it, in the namespace default; objects of -f may name them. May be repeated, for several proxies of the same "
            "Milvus. Health is checked on health=PORT, or on 9091 if Kiteway sees that 9091 belongs to this Milvus; "
            "otherwise, and with health=none, an endpoint is healthy when its serving port accepts connections.",
        ),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="NAME",
            help="With --to: the name by which clients connect; may be repeated.",
            show_default="localhost, or those of --tls",
        ),
    ] = None,
    grpc_port: Annotated[
        int | None,
        typer.Option(
            "--grpc-port",
            min=1,
            max=65535,
            help="An additional port without TLS, for clients that do not use TLS yet.",
            show_default="none",
        ),
    ] = None,
    bind: Annotated[str, typer.Option("--bind", metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    endpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--endpoint",
            metavar="SERVICE=HOST:PORT[,health=PORT]",
            help="An endpoint of a Service; replaces the Service's EndpointSlices. May be repeated.",
        ),
    ] = None,
    tls: CertificateFilesOption = None,
    access_log: AccessLogOption = True,
    log_calls: LogCallsOption = False,
    cache: Annotated[
        bool,
        typer.Option(
            "--cache",
            help="Answer repeated reads from a cache, at every Service of which no MilvusPolicy says otherwise "
            "(docs/how-to/cache.md).",
        ),
    ] = False,
    options: BalancerOptions,
    logs: Annotated[bool, typer.Option("--logs", help="Print the logs instead of writing them to files.")] = False,
) -> None:
    """
    Run the balancer on this machine until Ctrl-C.

    With -f it reads manifests (Ingress, Service, BackendConfig, Secret, ...) and follows their changes. With --to it
    balances a Milvus that runs already; -f may add objects, such as a MilvusPolicy for the Service milvus.

    Exit status: 0 stopped, 1 it could not run, 2 usage error, 130 Ctrl-C before it was ready.

    Examples:
    \b
      kiteway up --to localhost:19530
      kiteway up --to 10.0.0.5:19530 --to 10.0.0.6:19530,health=9092 --to 10.0.0.7:19530
      kiteway up --to localhost:19530,health=none
      kiteway up --to localhost:19530 --log-calls
      kiteway up --to localhost:19530 --cache
      kiteway up --to localhost:19530 -f policy.yaml
      kiteway up --to localhost:19530 --dashboard 127.0.0.1:9090
      kiteway up --to milvus.internal:19530 --host milvus.example.com --bind 0.0.0.0
      kiteway up --to milvus.internal:19530 --tls fullchain.pem,privkey.pem --bind 0.0.0.0
      kiteway up -f examples/guide-self-managed --endpoint my-release-milvus=127.0.0.1:19530
      kiteway up -f examples/guide-google-managed --http-port 80 --https-port 443 --bind 0.0.0.0 \
        --acme-accept-terms --acme-contact admin@example.com --endpoint my-release-milvus=127.0.0.1:19530
      kiteway up -f new-manifests --data-dir ~/kiteway-2 --replace ~/.local/state/kiteway
    """
    if given:
        meant = (("-f" if Path(each).exists() else "--to", each) for each in given)
        raise fail(
            f"a Milvus goes with --to, a path with -f: {suggested('kiteway', 'up', *chain.from_iterable(meant))}", 2
        )
    if not filename and not to:
        raise fail("give --to HOST:PORT (a Milvus that runs already), -f PATH (manifests), or both", 2)
    if host and not to:
        raise fail("--host goes with --to; with -f the hosts are the Ingress's", 2)
    if log_calls and not access_log and not options.otlp_logs:
        raise fail("--log-calls adds to the access log; remove --no-access-log, or add --otlp-logs", 2)
    if cache and (missing := missing_reason()):
        raise fail(f"--cache needs Kiteway's filter: {missing}", 2)
    try:
        endpoints = tuple(parse_static_endpoint(text) for text in endpoint or [])
        targets = parse_targets(to or [])
        certificates = tuple(parse_certificate_files(text, SECRET if to else None) for text in tls or [])
        checked = options.check()
        instance = Instance(options.data_dir or default_data_dir())
        settings = options.settings(
            bind,
            public_https_port=options.https_port,
            grpc_port=grpc_port,
            access_log=instance.log_dir / "access.log" if access_log else None,
            log_calls=log_calls,
            otlp=checked.otlp,
        )
        if targets:
            # The manifests that Kiteway makes for --to close the HTTP port. A health port may stop while calls still
            # succeed.
            settings = dataclasses.replace(settings, http_port=None, fail_open=True)
        ports = ports_of(settings, checked.metrics_bind, checked.dashboard_bind)
        predecessor = options.predecessor(instance)
    except (ValueError, EnvoyNotFoundError) as error:
        raise fail(str(error), 2) from error
    try:
        with instance.acquire(), own_ports(ports, predecessor=predecessor, envoy=checked.envoy) as claims:
            paths = [str(path.absolute()) for path in filename or []]
            certificate: Path | None = None
            own: str | None = None
            if targets:
                stderr.print(f"looking at {', '.join(map(str, targets))}")
                found = quickstart(
                    instance,
                    targets,
                    tuple(host or []),
                    own_certificate=not certificates,
                    predecessor=predecessor,
                )
                for note in found.notes:
                    stderr.print(note)
                own = str(found.manifests)
                paths, endpoints = [own, *paths], (*endpoints, *found.endpoints)
                certificate = found.certificate
            config = Config(
                str(instance.data_dir),
                tuple(paths),
                settings,
                endpoints,
                acme=checked.acme,
                certificates=certificates,
                ssl_policies=checked.ssl_policies,
                namespace_limits=checked.namespace_limits,
                cache_memory=options.cache_memory,
                cache_by_default=cache,
                metrics_bind=checked.metrics_bind,
                own_manifests=own,
                recursive=recursive,
            )
            if not recursive and (unread := not_read(filename or [])):
                stderr.print(f"{unread.message} {unread.fix}", markup=False)
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
            code = asyncio.run(_run(what, certificate))
    except (InstanceError, PortError, QuickstartError) as error:
        raise fail(str(error)) from error
    raise typer.Exit(code)


async def _run(what: Launch, certificate: Path | None) -> int:
    signals: list[signal.Signals] = []
    running = asyncio.create_task(launch(what, print_event, signals.append))
    serving = True
    ready = asyncio.create_task(wait_ready(what.instance, _READY_SECONDS))
    await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
    if ready.done() and not ready.cancelled():
        try:
            ready.result()
        except NotReadyError as error:
            status = await asyncio.to_thread(read_status, what.instance)
            # Of a control plane that does not answer, the status knows why.
            fail(str(error) if status.answered else f"Not ready after {_READY_SECONDS:g} s: {status.reason}.")
            stderr.print(f"logs: {what.instance.log_dir}")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            return 1
        status = await asyncio.to_thread(read_status, what.instance)
        serving = bool(status.listeners)
        _print_ready(status, certificate or await self_signed_file(status, what.instance))
        if what.dashboard is not None:
            stderr.print(f"the page of this instance: {what.dashboard.url}", markup=False)
    ready.cancel()
    if running.done() and not ready.done() and signal.SIGINT in signals:
        # It never served: a script must not take that for success.
        return stopped(signal.SIGINT).exit_code
    fail_open = what.config.settings.fail_open
    tell = [tell_health(what.instance, stderr.print, fail_open=fail_open)]
    # Many good manifests have a warning, but those that Kiteway makes have none of their own: each is about --host or --tls.
    warnings = what.config.own_manifests is not None or not serving
    tell.append(tell_errors(what.instance, warnings=warnings))
    telling = [asyncio.create_task(each) for each in tell]
    try:
        return await running
    finally:
        for task in telling:
            task.cancel()


def _print_ready(status: Status, certificate: Path | None) -> None:
    """
    Print the open listeners, and how to connect.

    Without a certificate there is no listener for HTTPS, and without an Ingress none at all.
    """
    addresses = [f"{each.name}://{each.address}:{each.port}" for each in status.listeners]
    where = f": {', '.join(addresses) or 'no listener is in use'}; `kiteway status` shows more, Ctrl-C ends it"
    degraded: Part = (", but degraded", "yellow") if status.state is State.DEGRADED else ""
    stderr.print(line(("ready", "green"), degraded, where))
    for each in connecting(status, certificate).split("\n")[:-1]:
        stderr.print(each)
