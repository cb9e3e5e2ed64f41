"""`kiteway cert list` and `kiteway cert show`: certificates with their hosts, validity and source."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from cryptography import x509
from rich.table import Table

from kiteway.certificates.describe import describe
from kiteway.cli.options import DataDirOption, FilesOption, RecursiveOption
from kiteway.cli.output import Output, OutputOption, emit, fail, print_diagnostics, stdout
from kiteway.cli.running import running_instance, status_of
from kiteway.probe import TlsOptions, parse_endpoint
from kiteway.probe.tls import probe_tls
from kiteway.report.certificates import CertificateReport, ServedCertificate
from kiteway.sources.files import FileSource
from kiteway.status.model import certificate_reports
from kiteway.translate import Options, translate

LIST_EXAMPLES = "Examples:\n\n  kiteway cert list\n\n  kiteway cert list -f manifests/ --output json"
SHOW_EXAMPLES = (
    "Examples:\n\n"
    "  kiteway cert show default/my-release-milvus-tls\n\n"
    "  kiteway cert show tls.crt\n\n"
    "  kiteway cert show milvus.example.com:443"
)
_NOT_VALID = frozenset({"CertificateExpired", "CertificateNotYetValid"})


def list_(
    *,
    filename: FilesOption = None,
    recursive: RecursiveOption = False,
    data_dir: DataDirOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    List the certificates of the running instance, or of manifests.

    Exit status: 0 all are valid, 1 one is not valid or no instance runs, 2 usage error.
    """
    found = _served(filename, data_dir, recursive=recursive)
    if output is not Output.TABLE:
        emit({"certificates": msgspec.to_builtins(found)}, output)
    else:
        table = Table(box=None, pad_edge=False)
        for column in ("NAME", "NAMES", "SERVED FOR", "KEY", "DAYS LEFT", "PROBLEMS", "FROM"):
            table.add_column(column, overflow="fold", no_wrap=column == "NAME")
        for entry in found:
            table.add_row(
                entry.name,
                ", ".join(entry.names),
                ", ".join(entry.served_for),
                entry.key_type,
                str(entry.days_left),
                ", ".join(problem.reason for problem in entry.problems) or "none",
                entry.source,
            )
        stdout.print(table)
    raise typer.Exit(_status(found))


def show(
    what: Annotated[
        str, typer.Argument(metavar="NAME|FILE|HOST:PORT", help="NAMESPACE/NAME as listed, a PEM file, or an address.")
    ],
    *,
    server_name: Annotated[
        str | None,
        typer.Option("--server-name", help="With HOST:PORT: the server name to send.", show_default="the host"),
    ] = None,
    filename: FilesOption = None,
    recursive: RecursiveOption = False,
    data_dir: DataDirOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    Show a certificate: of the running instance, of manifests, in a file, or of any server.

    Exit status: 0 it is valid, 1 it is not valid or cannot be read, 2 usage error.
    """
    found: CertificateReport
    if Path(what).is_file():
        found = _of_file(Path(what))
    elif ":" in what:
        found = _of_server(what, server_name)
    else:
        served = _served(filename, data_dir, recursive=recursive)
        matching = [entry for entry in served if what in {entry.name, entry.name.partition("/")[2]}]
        if not matching:
            known = ", ".join(entry.name for entry in served) or "none"
            raise fail(f"there is no certificate {what}, nor a file of that name; there are: {known}")
        found = matching[0]
    if output is Output.TABLE:
        _print(found)
    else:
        emit(msgspec.to_builtins(found), output)
    raise typer.Exit(_status([found]))


def _status(found: Sequence[CertificateReport]) -> int:
    return 1 if any(problem.reason in _NOT_VALID for entry in found for problem in entry.problems) else 0


def _served(filename: list[Path] | None, data_dir: Path | None, *, recursive: bool) -> tuple[ServedCertificate, ...]:
    if filename:
        resources = FileSource(tuple(filename), recursive=recursive).read()
        result = translate(resources.objects, Options(), dt.datetime.now(dt.UTC), resources.failed)
        about = [d for d in (*resources.diagnostics, *result.diagnostics) if d.object and d.object.kind == "Secret"]
        print_diagnostics(about)
        return certificate_reports(result.model)
    value = status_of(running_instance(data_dir))
    if not value.answered:
        raise fail(value.reason)
    return value.certificates


def _of_file(file: Path) -> CertificateReport:
    try:
        return describe(str(file), x509.load_pem_x509_certificates(file.read_bytes()), dt.datetime.now(dt.UTC))
    except OSError as error:
        raise fail(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise fail(f"{file} has no valid PEM certificate") from error


def _of_server(address: str, server_name: str | None) -> CertificateReport:
    try:
        endpoint = parse_endpoint(address, 443)
    except ValueError as error:
        raise fail(str(error), 2) from error
    result = asyncio.run(probe_tls(endpoint, TlsOptions(server_name=server_name, verify=False)))
    if not result.chain:
        raise fail(result.failure.detail if result.failure else f"{endpoint} sent no certificate")
    return describe(address, [x509.load_der_x509_certificate(c.der) for c in result.chain], dt.datetime.now(dt.UTC))


def _print(entry: CertificateReport) -> None:
    rows = {
        "name": entry.name,
        "names": ", ".join(entry.names),
        "valid": f"{_time(entry.not_before)} to {_time(entry.not_after)} ({entry.days_left} days left)",
        "key": entry.key_type,
        "issuer": f"{entry.issuer}{' (self-signed)' if entry.self_signed else ''}",
        "SHA-256": entry.fingerprint,
    }
    if isinstance(entry, ServedCertificate):
        rows |= {"from": entry.source, "served for": ", ".join(entry.served_for)}
    for name, value in rows.items():
        stdout.print(f"{name + ':':<12}{value}")
    for number, member in enumerate(entry.chain):
        stdout.print(f"{'chain:' if not number else '':<12}{member.subject} until {_time(member.not_after)}")
    for problem in entry.problems:
        stdout.print(f"{'problem:':<12}{problem.reason}: {problem.message} {problem.fix}")


def _time(at: dt.datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
