"""`kiteway demo`: the whole guide on this machine."""

from __future__ import annotations

import asyncio
import enum
import signal
import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from kiteway.cli.options import parse_bind
from kiteway.cli.otlp import OtlpEndpointOption, parse_otlp
from kiteway.cli.output import Output, OutputOption, emit, fail, stderr, stopped
from kiteway.cli.terminal import line
from kiteway.dashboard.config import DashboardConfig
from kiteway.demo.guide import HOST, ExamplesMissingError
from kiteway.demo.report import DemoReport
from kiteway.demo.run import Options, StoppedError, remove, run
from kiteway.envoy.binary import EnvoyNotFoundError, find_envoy
from kiteway.instance import InstanceError
from kiteway.milvus.embedded import FIRST_USER, MilvusStartError, MilvusUnavailableError
from kiteway.milvus.verify import SdkMissingError
from kiteway.ownership import NotOursError, make_own
from kiteway.ports import PortError
from kiteway.printable import suggested
from kiteway.supervisor import NotReadyError

_TRACE_SAMPLING = 100.0
"""Percent of the calls that are traced: a demo has few."""


class Milvus(enum.StrEnum):
    """The value of ``--milvus``."""

    EMBEDDED = "embedded"
    LITE = "lite"


def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="End after the verification.")] = False,
    milvus: Annotated[
        Milvus | None,
        typer.Option(
            "--milvus",
            help="embedded: the full Milvus (Linux x86-64); lite: Milvus Lite behind proxies of ours, on all platforms.",
            show_default="embedded on Linux x86-64",
        ),
    ] = None,
    proxies: Annotated[int, typer.Option("--proxies", min=1, max=9, help="Proxies of Milvus.")] = 1,
    auth: Annotated[
        bool, typer.Option("--auth", help="Milvus asks for a login: its first user is root, with the password Milvus.")
    ] = False,
    https_port: Annotated[
        int | None,
        typer.Option("--https-port", min=1, max=65535, help="The public port.", show_default="8443, or a free one"),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", metavar="DIR", help="Keep everything here.", show_default="removed at the end"),
    ] = None,
    envoy: Annotated[
        Path | None, typer.Option("--envoy", metavar="PATH", help="An Envoy binary instead of the packaged one.")
    ] = None,
    otlp_endpoint: OtlpEndpointOption = None,
    dashboard: Annotated[
        str | None,
        typer.Option(
            "--dashboard",
            metavar="ADDRESS:PORT",
            help="Serve a web page of the demo there, on a loopback address (docs/how-to/dashboard.md).",
            show_default="none",
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    Run the whole guide on this machine: Milvus, certificate, manifests, balancer, verification.

    It uses a real Milvus with TLS, the guide's manifests, Envoy and PyMilvus. At the end it searches the same twice: the
    second answer comes from Kiteway's cache. Ctrl-C ends the demo and removes its files.

    Exit status: 0 verified, 1 not verified, 2 usage error, 130 Ctrl-C before the end of the verification.

    Examples:
    \b
      kiteway demo
      kiteway demo --once --output json
      kiteway demo --proxies 3
      kiteway demo --auth
      kiteway demo --otlp-endpoint http://127.0.0.1:4318
      kiteway demo --proxies 3 --dashboard 127.0.0.1:9090
    """
    chosen = milvus or _default_milvus()
    if chosen is Milvus.LITE and auth:
        raise fail("--auth needs the full Milvus, because Milvus Lite has no users: --milvus embedded", 2)
    try:
        binary = find_envoy(envoy)
        otlp = parse_otlp(otlp_endpoint, sampling=_TRACE_SAMPLING)
        page = _page(dashboard)
    except (EnvoyNotFoundError, ValueError) as error:
        raise fail(str(error), 2) from error
    folder = data_dir or Path(tempfile.mkdtemp(prefix="kiteway-demo-"))
    try:
        make_own(folder)
    except (NotOursError, OSError) as error:
        raise fail(str(error)) from error
    options = Options(folder, binary, chosen.value, proxies, https_port, once, auth, otlp, page)
    report = DemoReport()
    try:
        report = asyncio.run(run(options, _say, _print_connected))
    except (MilvusUnavailableError, SdkMissingError, ExamplesMissingError) as error:
        raise fail(str(error), 2) from error
    except (MilvusStartError, NotReadyError, InstanceError, PortError, OSError) as error:
        raise fail(str(error)) from error
    except StoppedError as error:
        raise stopped(error.number) from None
    except asyncio.CancelledError:
        raise stopped(signal.SIGTERM) from None
    finally:
        if data_dir is None:
            remove(folder)
        elif (folder / "milvus").exists():
            stderr.print(f"kept: {folder}, with the certificate, the manifests, the logs and Milvus's data")
    if output is not Output.TABLE:
        emit(msgspec.to_builtins(report), output)
    else:
        _print(report, calls=once or not report.verified)
    raise typer.Exit(0 if report.verified else 1)


def _page(bind: str | None) -> DashboardConfig | None:
    """Return the web page. Raises ValueError for an address beyond loopback, which needs options that only `up` has."""
    page = DashboardConfig(bind=parse_bind(bind, "--dashboard", "127.0.0.1:9090")) if bind is not None else None
    if page is not None and not page.is_local:
        raise ValueError(
            f"--dashboard {bind}: the page of a demo is for this machine only; give a loopback address, e.g. 127.0.0.1:9090. "
            "`kiteway up` has the options for a page that other machines may read"
        )
    return page


def _default_milvus() -> Milvus:
    import platform
    import sys

    full = sys.platform == "linux" and platform.machine() == "x86_64"
    return Milvus.EMBEDDED if full else Milvus.LITE


def _say(text: str) -> None:
    for each in text.split("\n"):
        stderr.print(each)


def _print(report: DemoReport, *, calls: bool) -> None:
    """Print the result; ``calls`` of each endpoint too, unless they were printed when the verification ended."""
    for address, number in report.requests_per_endpoint.items() if calls else ():
        stderr.print(f"  {number} calls at {address}")
    if report.verified:
        stderr.print(line(("verified", "green")))
    elif report.failure is not None:
        sentence = f" ({report.failure.reason}): {report.failure.sentence}"
        stderr.print(line(("not verified", "red"), sentence))
        stderr.print(report.failure.fix)


def _print_connected(options: Options, certificate: Path, port: int) -> None:
    token = f', token="{FIRST_USER}"' if options.auth else ""
    page = f"The page of this instance: {options.dashboard.url}\n" if options.dashboard else ""
    status = suggested("kiteway", "status", "--data-dir", str(options.data_dir))
    _say(f"""
Verified. Connect with:

    from pymilvus import MilvusClient
    client = MilvusClient("https://127.0.0.1:{port}", server_pem_path="{certificate}", server_name="{HOST}"{token})

{page}The manifests are in {options.data_dir / "manifests"}: edit them and watch {status}.
Ctrl-C ends the demo.""")
