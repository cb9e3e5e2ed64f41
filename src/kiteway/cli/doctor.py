"""`kiteway doctor`: find problems, and say why and what to do."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from kiteway.cli.address import parse_address
from kiteway.cli.gke_options import ContextOption, NamespaceOption, ReleaseOption
from kiteway.cli.missing import print_missing
from kiteway.cli.options import CLUSTER_PANEL, DataDirOption, FilesOption, KubeconfigOption, RecursiveOption
from kiteway.cli.output import Output, OutputOption, emit, fail, stdout
from kiteway.cli.terminal import Part, line
from kiteway.cli.token import TokenFileOption, TokenOption, read_token
from kiteway.diagnostics import Diagnostic, Severity
from kiteway.doctor import (
    RULES,
    AddressTarget,
    Report,
    Result,
    Scope,
    examine,
    look_at_address,
    look_at_machine,
    read_manifests,
)
from kiteway.doctor.document import DoctorReport, RuleList, RuleReport
from kiteway.doctor.report import Check
from kiteway.extras import install_command
from kiteway.instance import Instance
from kiteway.printable import suggested
from kiteway.probe import TlsOptions, TrustFileError
from kiteway.probe.result import DEFAULT_TIMEOUT
from kiteway.probe.trust import grpc_default_roots

_SEVERITIES = (Severity.NOTE, Severity.WARNING, Severity.ERROR)
_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def doctor(
    address: Annotated[
        str | None,
        typer.Argument(metavar="[HOST[:PORT]]", help="A live address; port 443 if none is given.", show_default=False),
    ] = None,
    *,
    filename: FilesOption = None,
    recursive: RecursiveOption = False,
    ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Trust this PEM file instead of the public CAs.")
    ] = None,
    server_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name in the certificate, when HOST is not it.")
    ] = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    plaintext: Annotated[bool, typer.Option("--plaintext", help="The address has no TLS (port 19530).")] = False,
    envoy: Annotated[
        Path | None, typer.Option("--envoy", metavar="PATH", help="An Envoy binary instead of the packaged one.")
    ] = None,
    data_dir: DataDirOption = None,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Check a live cluster, read-only.", rich_help_panel=CLUSTER_PANEL)
    ] = False,
    release: ReleaseOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = "",
    kubeconfig: KubeconfigOption = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="The time limit for each probe.")
    ] = DEFAULT_TIMEOUT,
    all_: Annotated[bool, typer.Option("--all", help="Print the checks that passed, too.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the rules and check nothing.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    Find what is wrong with manifests, a live address, a live cluster or this machine, and say what to do.

    With -f it checks manifests and Milvus's configuration (milvus.yaml, or values of the Helm chart). With an address it
    checks DNS, TLS, the certificate, HTTP/2, Milvus and its ports. With --cluster it reads the objects of a release, and
    also applies the rules for files and addresses to them. Without these it checks this machine.

    A problem in manifests has the code that `kiteway plan` has for it; `kiteway explain CODE` says more. Checks that passed are
    counted, and listed with --all.

    Exit status: 0 no check failed (warnings are allowed), 1 a check failed, 2 usage error.

    Examples:
    \b
      kiteway doctor
      kiteway doctor -f examples/guide-self-managed -f values.yaml
      kubectl get ingress,svc,secrets,backendconfigs,frontendconfigs,managedcertificates,milvuspolicies -o yaml \
        | kiteway doctor -f -    # without the kinds that the cluster does not have
      kiteway doctor my-release.milvus.io
      kiteway doctor 34.111.144.65 --server-name my-release.milvus.io --ca tls.crt --output json
      kiteway doctor --cluster --release my-release --namespace default --ca tls.crt
      kiteway doctor --list
    """
    if list_:
        _print_rules(output)
        return
    if sum(map(bool, (address, filename, cluster))) > 1:
        raise fail("give only one of -f PATH (files), HOST[:PORT] (a live address) and --cluster", 2)
    now = dt.datetime.now(dt.UTC)
    missing: tuple[Diagnostic, ...] = ()
    if cluster:
        where = _Where(release or "my-release", namespace or "default", context, kubeconfig)
        report = _cluster(where, now, ca=ca, token=read_token(token, token_file), timeout=timeout)
    elif filename:
        manifests = read_manifests(filename, now, recursive=recursive)
        missing, report = manifests.diagnostics, examine(Scope.FILES, manifests)
    elif address:
        if Path(address).exists():
            raise fail(f"{address} is a file or folder: {suggested('kiteway', 'doctor', '-f', address)}", 2)
        try:
            endpoint, secure = parse_address(address, plaintext=plaintext)
            target = AddressTarget(
                endpoint=endpoint,
                secure=secure,
                tls=TlsOptions(server_name=server_name, ca=ca or grpc_default_roots()),
                token=read_token(token, token_file),
                timeout=timeout,
            )
            report = examine(Scope.ADDRESS, asyncio.run(look_at_address(target, now)))
        except (ValueError, TrustFileError) as error:
            raise typer.BadParameter(str(error)) from None
    else:
        report = examine(Scope.MACHINE, look_at_machine(envoy, Instance(data_dir) if data_dir else None))
    _print(report, output, passed=all_)
    if output is Output.TABLE:
        print_missing(missing)
    raise typer.Exit(1 if report.failed else 0)


@dataclass(frozen=True, slots=True)
class _Where:
    release: str
    namespace: str
    context: str
    kubeconfig: Path | None


def _cluster(where: _Where, now: dt.datetime, *, ca: Path | None, token: str | None, timeout: float) -> Report:
    try:
        from kiteway.doctor.cluster.look import ClusterTarget, examine_cluster, look_at_cluster
        from kiteway.kubernetes.api import NoClusterError
    except ImportError as error:
        raise fail(f"the extra for Kubernetes is not installed: {install_command('kubernetes')}") from error
    target = ClusterTarget(
        release=where.release,
        namespace=where.namespace,
        context=where.context,
        kubeconfig=str(where.kubeconfig or ""),
        ca=ca,
        token=token,
        timeout=timeout,
    )
    try:
        return examine_cluster(asyncio.run(look_at_cluster(target, now)))
    except NoClusterError as error:
        raise fail(str(error), 2) from None
    except TrustFileError as error:
        raise typer.BadParameter(str(error)) from None


def _print_rules(output: Output) -> None:
    if output is not Output.TABLE:
        emit(msgspec.to_builtins(RuleList(rules=tuple(map(RuleReport.of_rule, RULES)))), output)
        return
    for rule in RULES:
        stdout.print(f"{rule.id:<30} {rule.scope:<8} {rule.severity:<8} {rule.title}")


def _print(report: Report, output: Output, *, passed: bool) -> None:
    if output is not Output.TABLE:
        emit(msgspec.to_builtins(DoctorReport.of_report(report)), output)
        return
    for resource, checks in report.checks:
        shown = [check for check in checks if passed or check.finding.result is not Result.PASSED]
        if shown:
            stdout.print(line((str(resource), "bold")))
        for check in sorted(shown, key=_weight):
            stdout.print(line(*_parts(check)))
            if check.finding.fix:
                stdout.print(line((f"{'':10}-> {check.finding.fix}", "dim")))
    _print_counts(report, passed=passed)


def _weight(check: Check) -> int:
    """Return the place of a check among those of its resource: the worst is last, where one looks first on a terminal."""
    if check.severity is None:
        return 0 if check.finding.result is Result.PASSED else 1
    return 2 + _SEVERITIES.index(check.severity)


def _print_counts(report: Report, *, passed: bool) -> None:
    warnings, notes = report.count(Severity.WARNING), report.count(Severity.NOTE)
    stdout.print(
        f"{report.count(Severity.ERROR)} failed, {_several(warnings, 'warning')}, "
        f"{_several(notes, 'note') + ', ' if notes else ''}"
        f"{report.count(Result.PASSED)} passed{'' if passed else ' (listed with --all)'}, "
        f"{report.count(Result.SKIPPED)} skipped"
    )


def _several(number: int, what: str) -> str:
    return f"{number} {what}{'s'[: number != 1]}"


def _parts(check: Check) -> tuple[Part, ...]:
    finding = check.finding
    word, style = "passed", "green"
    if check.severity is not None:
        word = "FAILED" if check.severity is Severity.ERROR else str(check.severity)
        style = _COLOURS[check.severity]
    elif finding.result is Result.SKIPPED:
        word, style = "skipped", "dim"
    where = f"{finding.position}: " if finding.position else ""
    name: Part = (check.code, "bold" if check.severity else "")
    return (f"  {word:<8}", style), name, f" {where}{finding.message}"
