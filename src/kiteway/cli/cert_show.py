"""`kiteway cert list` and `kiteway cert show`: certificates with their hosts, validity and source."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509
from rich.table import Table

from kiteway.certificates.describe import describe
from kiteway.cli.options import DataDirOption, FilesOption
from kiteway.cli.output import Output, OutputOption, emit, fail, print_diagnostics, stdout
from kiteway.instance import Instance, default_data_dir
from kiteway.probe import TlsOptions, parse_endpoint
from kiteway.probe.tls import probe_tls
from kiteway.sources.files import FileSource
from kiteway.status.client import read_status
from kiteway.status.model import model_report
from kiteway.translate import Options, translate

LIST_EXAMPLES = "Examples:\n\n  kiteway cert list\n\n  kiteway cert list -f manifests/ --output json"
SHOW_EXAMPLES = (
    "Examples:\n\n"
    "  kiteway cert show default/my-release-milvus-tls\n\n"
    "  kiteway cert show tls.crt\n\n"
    "  kiteway cert show milvus.example.com:443"
)
_NOT_VALID = frozenset({"CertificateExpired", "CertificateNotYetValid"})


def list_(filename: FilesOption = None, data_dir: DataDirOption = None, output: OutputOption = Output.TABLE) -> None:
    """
    List the certificates of the running instance, or of manifests.

    Exit status: 0 all are valid, 1 one is not valid or no instance runs, 2 usage error.
    """
    found = _served(filename, data_dir)
    if output is not Output.TABLE:
        emit({"certificates": found}, output)
    else:
        table = Table(box=None, pad_edge=False)
        for column in ("NAME", "NAMES", "SERVED FOR", "KEY", "DAYS LEFT", "PROBLEMS", "FROM"):
            table.add_column(column, overflow="fold", no_wrap=column == "NAME")
        for entry in found:
            table.add_row(
                entry["name"],
                ", ".join(entry["names"]),
                ", ".join(entry["servedFor"]),
                entry["keyType"],
                str(entry["daysLeft"]),
                ", ".join(p["reason"] for p in entry["problems"]) or "none",
                entry["source"],
            )
        stdout.print(table)
    raise typer.Exit(_status(found))


def show(
    what: Annotated[
        str, typer.Argument(metavar="NAME|FILE|HOST:PORT", help="NAMESPACE/NAME as listed, a PEM file, or an address.")
    ],
    server_name: Annotated[
        str | None,
        typer.Option("--server-name", help="With HOST:PORT: the server name to send.", show_default="the host"),
    ] = None,
    filename: FilesOption = None,
    data_dir: DataDirOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    Show a certificate: of the running instance, of manifests, in a file, or of any server.

    Exit status: 0 it is valid, 1 it is not valid or cannot be read, 2 usage error.
    """
    if Path(what).is_file():
        found = {"name": what, **_of_file(Path(what))}
    elif ":" in what:
        found = {"name": what, **_of_server(what, server_name)}
    else:
        served = _served(filename, data_dir)
        matching = [entry for entry in served if what in {entry["name"], entry["name"].partition("/")[2]}]
        if not matching:
            known = ", ".join(entry["name"] for entry in served) or "none"
            raise fail(f"there is no certificate {what}, nor a file of that name; there are: {known}")
        found = matching[0]
    if output is Output.TABLE:
        _print(found)
    else:
        emit(found, output)
    raise typer.Exit(_status([found]))


def _status(found: list[dict[str, Any]]) -> int:
    return 1 if any(problem["reason"] in _NOT_VALID for entry in found for problem in entry["problems"]) else 0


def _served(filename: list[Path] | None, data_dir: Path | None) -> list[dict[str, Any]]:
    if filename:
        resources = FileSource(tuple(filename)).read()
        result = translate(resources.objects, Options(), dt.datetime.now(dt.UTC), resources.failed)
        about = [d for d in (*resources.diagnostics, *result.diagnostics) if d.object and d.object.kind == "Secret"]
        print_diagnostics(about)
        of_manifests: list[dict[str, Any]] = model_report(result.model)["certificates"]
        return of_manifests
    instance = Instance(data_dir or default_data_dir())
    if instance.running_pid() is None:
        raise fail(f"no instance runs on {instance.data_dir}; start one with `kiteway up`, or give manifests with -f")
    value = read_status(instance)
    if "certificates" not in value:
        raise fail(str(value.get("reason", "the control plane does not answer")))
    of_instance: list[dict[str, Any]] = value["certificates"]
    return of_instance


def _of_file(file: Path) -> dict[str, Any]:
    try:
        return describe(x509.load_pem_x509_certificates(file.read_bytes()), dt.datetime.now(dt.UTC))
    except OSError as error:
        raise fail(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise fail(f"{file} has no valid PEM certificate") from error


def _of_server(address: str, server_name: str | None) -> dict[str, Any]:
    try:
        endpoint = parse_endpoint(address, 443)
    except ValueError as error:
        raise fail(str(error), 2) from error
    result = asyncio.run(probe_tls(endpoint, TlsOptions(server_name=server_name, verify=False)))
    if not result.chain:
        raise fail(result.failure.detail if result.failure else f"{endpoint} sent no certificate")
    return describe([x509.load_der_x509_certificate(c.der) for c in result.chain], dt.datetime.now(dt.UTC))


def _print(entry: dict[str, Any]) -> None:
    rows = {
        "name": entry["name"],
        "names": ", ".join(entry["names"]),
        "valid": f"{entry['notBefore']} to {entry['notAfter']} ({entry['daysLeft']} days left)",
        "key": entry["keyType"],
        "issuer": f"{entry['issuer']}{' (self-signed)' if entry['selfSigned'] else ''}",
        "SHA-256": entry["fingerprint"],
    }
    if "source" in entry:
        rows |= {"from": entry["source"], "served for": ", ".join(entry["servedFor"])}
    for name, value in rows.items():
        stdout.print(f"{name + ':':<12}{value}")
    for number, member in enumerate(entry["chain"]):
        stdout.print(f"{'chain:' if not number else '':<12}{member['subject']} until {member['notAfter']}")
    for problem in entry["problems"]:
        stdout.print(f"{'problem:':<12}{problem['reason']}: {problem['message']} {problem['fix']}")
