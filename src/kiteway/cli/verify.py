"""``kiteway verify``: the guide's verification of a Milvus behind a balancer."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from kiteway.cli.address import parse_address
from kiteway.cli.output import Output, OutputOption, emit, fail, stderr, stdout
from kiteway.cli.terminal import line, table
from kiteway.cli.token import TokenFileOption, TokenOption, read_token
from kiteway.cli.trusted import own_file
from kiteway.instance import Instance, default_data_dir
from kiteway.milvus.verify import DEFAULT_TIMEOUT, FailureReason, OnStep, SdkMissingError, Step, Target, VerifyReport
from kiteway.milvus.verify import verify as run_verification
from kiteway.probe import Endpoint, TrustFileError

_NOT_VERIFIED = 1
_USAGE = 2


def verify(
    address: Annotated[
        str, typer.Argument(metavar="HOST[:PORT]", help="Port 443 if none is given (19530 with --plaintext).")
    ],
    *,
    ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Trust this PEM file (PyMilvus: server_pem_path) instead of the public CAs."),
    ] = None,
    server_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name in the certificate, when HOST is not it.")
    ] = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    client_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Client certificate (PEM), for tlsMode: 2.")
    ] = None,
    client_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The client certificate's private key (PEM).")
    ] = None,
    plaintext: Annotated[bool, typer.Option("--plaintext", help="Without TLS.")] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="The time limit for the whole run.")
    ] = DEFAULT_TIMEOUT,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    Verify a Milvus through its balancer, as the guide does, with PyMilvus.

    It connects, creates a collection, inserts, flushes, indexes, loads, searches, queries, deletes, and drops the
    collection. If a step fails, one sentence says what is wrong, and another what to do.

    The JSON report also has the versions, the rpcs that were seen working, and what differs from where Kiteway's own tests run.
    Please send it with a report about a Milvus newer than those of docs/verified.md; it holds no secret.

    Exit status: 0 verified, 1 not verified, 2 usage error.

    Examples, the guide's three forms first:

    \b
      kiteway verify 34.111.144.65 --server-name my-release.milvus.io --ca tls.crt
      kiteway verify 34.111.144.65 --server-name my-release.milvus.io
      kiteway verify my-release.milvus.io
      kiteway verify https://localhost:8443 --ca ca.pem --token-file token.txt --output json
    """
    try:
        endpoint, secure = parse_address(address, plaintext=plaintext)
        target = Target(
            host=endpoint.host,
            port=endpoint.port,
            ca=ca,
            server_name=server_name,
            token=read_token(token, token_file),
            secure=secure,
            client_cert=client_cert,
            client_key=client_key,
        )
        with _progress(output) as on_step:
            report = asyncio.run(_interruptible(target, timeout, on_step))
    except (ValueError, TrustFileError) as error:
        raise typer.BadParameter(str(error)) from None
    except SdkMissingError as error:
        raise fail(str(error), _USAGE) from None
    except asyncio.CancelledError:
        raise typer.Exit(128 + signal.SIGTERM) from None
    report = _with_own_file(report, target)
    _print(report, output)
    if not report.verified:
        raise typer.Exit(_NOT_VERIFIED)


def _with_own_file(report: VerifyReport, target: Target) -> VerifyReport:
    """Return the report; if the certificate is one of Kiteway's own on this machine, with its file as the fix."""
    failure = report.failure
    if failure is None or failure.reason is not FailureReason.CERTIFICATE:
        return report
    file = asyncio.run(own_file(Endpoint(target.host, target.port), target.server_name, Instance(default_data_dir())))
    if file is None:
        return report
    fix = f"It is a certificate of Kiteway on this machine: give --ca {shlex.quote(str(file))} (PyMilvus: server_pem_path)."
    return msgspec.structs.replace(report, failure=msgspec.structs.replace(failure, fix=fix))


async def _interruptible(target: Target, timeout: float, on_step: OnStep) -> VerifyReport:
    """Run the coroutine so that the collection is dropped also after SIGTERM, as after Ctrl-C."""
    with _cancelled_by(signal.SIGTERM):
        return await run_verification(target, on_step=on_step, timeout=timeout)


@contextlib.contextmanager
def _cancelled_by(number: signal.Signals) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    if task is not None:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(number)


@contextlib.contextmanager
def _progress(output: Output) -> Iterator[OnStep]:
    """Show the steps on standard error: one line for each, or a transient line if the report is a table of them."""
    if output is not Output.TABLE:
        yield lambda step: stderr.print(_line(step))
        return
    with stderr.status("connecting") as status:
        yield lambda step: status.update(line(_line(step)))


def _line(step: Step) -> str:
    return f"{'ok' if step.ok else 'failed':<6} {step.name:<14} {step.seconds:7.3f} s  {step.detail}"


def _print(report: VerifyReport, output: Output) -> None:
    if output is not Output.TABLE:
        emit(msgspec.to_builtins(report), output)
        return
    rows = table("STEP", "RESULT", "SECONDS", "DETAIL")
    for step in report.steps:
        rows.add_row(step.name, "ok" if step.ok else "failed", f"{step.seconds:.3f}", step.detail)
    stdout.print(rows)
    if report.leftover:
        stdout.print(f"The collection {report.leftover} could not be dropped: drop it by hand.")
    if report.failure is None:
        versions = report.versions
        verified = f"Verified: Milvus {versions.milvus} at {report.address} with PyMilvus {versions.pymilvus}."
        stdout.print(verified, style="green")
        for difference in report.differences:
            stdout.print(f"Note: {difference}")
        return
    not_verified = f"Not verified ({report.failure.reason}): {report.failure.sentence}"
    stdout.print(not_verified, style="red")
    stdout.print(report.failure.fix)
