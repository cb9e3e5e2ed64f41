"""`kiteway plan`: the meaning of manifests, without starting anything."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterable
from itertools import chain
from typing import Annotated, Any

import msgspec
import typer
from google.protobuf.json_format import MessageToDict

from kiteway.cli.missing import print_missing
from kiteway.cli.options import CacheMemoryOption, FilesOption, RecursiveOption
from kiteway.cli.output import Output, emit, fail, print_diagnostics, stderr, stdout
from kiteway.cli.policy_show import policy_rows
from kiteway.cli.terminal import table
from kiteway.cli.values import NamespaceLimitOption, SSLPolicyOption, parse_namespace_limits, parse_ssl_policies
from kiteway.diagnostics import Diagnostic, Severity, ordered
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.build import build, build_endpoints
from kiteway.envoy.xds.redact import redacted
from kiteway.filter import filter_path
from kiteway.model import LoadBalancer
from kiteway.pipeline.assignments import Assignments
from kiteway.printable import suggested
from kiteway.report.problem import Problem
from kiteway.report.routing import HostReport
from kiteway.report.status import PlanReport
from kiteway.sources.files import FileSource
from kiteway.status.model import certificate_reports, host_reports
from kiteway.translate import Options, judge_whole, translate, with_meant
from kiteway.translate.shared.limits import MOST_CACHE_MEMORY


class PlanOutput(enum.StrEnum):
    """The value of ``--output``."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    ENVOY = "envoy"


def plan(
    path: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    *,
    filename: FilesOption = None,
    recursive: RecursiveOption = False,
    ssl_policy: SSLPolicyOption = None,
    namespace_limit: NamespaceLimitOption = None,
    cache_memory: CacheMemoryOption = MOST_CACHE_MEMORY,
    output: Annotated[
        PlanOutput, typer.Option("--output", "-o", help="The format; envoy: the configuration that Envoy would get.")
    ] = PlanOutput.TABLE,
) -> None:
    """
    Show the meaning of manifests and everything that is wrong with them.

    Nothing is started and nothing is written. Private keys are not shown. What is not in the given files does not exist here,
    though a cluster may have it: a Secret made by kubectl, for example.

    Exit status: 0 no errors (warnings are allowed), 1 errors, 2 usage error.

    Examples:
    \b
      kiteway plan -f examples/guide-self-managed
      kiteway plan -f ingress.yaml -f service.yaml --output json
      kiteway plan -R -f manifests    # with its subfolders
      kubectl get ingress,svc,endpointslices,secrets,backendconfigs,frontendconfigs,managedcertificates,milvuspolicies \
        -o yaml | kiteway plan -f -    # without the kinds that the cluster does not have
    """
    if path:
        raise fail(
            f"paths go with -f: {suggested('kiteway', 'plan', *chain.from_iterable(('-f', p) for p in path))}", 2
        )
    if not filename:
        raise fail("give manifests with -f PATH (- for standard input)", 2)
    try:
        options = Options(
            ssl_policies=parse_ssl_policies(ssl_policy or []),
            namespace_limits=parse_namespace_limits(namespace_limit or []),
            cache_memory=cache_memory,
            with_filter=filter_path() is not None,
        )
    except ValueError as error:
        raise fail(str(error), 2) from error
    resources = FileSource(tuple(filename), recursive=recursive).read()
    now = dt.datetime.now(dt.UTC)
    result = translate(resources.objects, options, now, resources.failed)
    # Without what Envoy can hold for all namespaces together: that is a question of the machine that it runs on.
    assignments = Assignments()
    assignments.set_objects(resources.objects)
    assignments.limit(options.namespace_limits.endpoints)
    assignments.replace(result.model.pools, now)
    diagnostics = ordered(
        [
            *resources.diagnostics,
            *with_meant(result.diagnostics, resources.objects),
            *judge_whole(resources.objects, result.model),
            *assignments.missing.values(),
        ],
    )
    if output is PlanOutput.ENVOY:
        settings = EnvoySettings(filter_path=filter_path())
        addresses = {pool.key: assignments.of(pool) for pool in result.model.pools}
        messages = [*build(result.model, settings), *build_endpoints(result.model.pools, addresses)]
        emit({"resources": [_described(message) for message in messages]}, Output.JSON)
        print_diagnostics(diagnostics)
    elif output is PlanOutput.TABLE:
        _print_model(result.model)
        print_diagnostics(diagnostics)
        print_missing(diagnostics)
        _print_summary(diagnostics)
    else:
        found = PlanReport(
            hosts=host_reports(result.model),
            certificates=certificate_reports(result.model),
            diagnostics=tuple(map(Problem.of_diagnostic, diagnostics)),
        )
        emit(msgspec.to_builtins(found), Output(output.value))
    raise typer.Exit(1 if any(d.severity is Severity.ERROR for d in diagnostics) else 0)


def _described(message: Any) -> dict[str, Any]:
    return {
        "@type": f"type.googleapis.com/{message.DESCRIPTOR.full_name}",
        **MessageToDict(redacted(message), preserving_proto_field_name=True),
    }


def _print_model(model: LoadBalancer) -> None:
    rows = table("HOST", "PATH", "POOL", "HTTPS", "HTTP", "INGRESS")
    for host in model.hosts:
        for route in host.routes:
            rows.add_row(
                host.domain,
                route.match.path,
                str(route.pool or "-"),
                "yes" if host.https else "no",
                str(host.http),
                f"{host.source.namespace}/{host.source.name}",
            )
    if model.hosts:
        stdout.print(rows)
    _print_policies(host_reports(model))


def _print_policies(hosts: Iterable[HostReport]) -> None:
    """Print what the MilvusPolicies mean for each path, and where each value comes from."""
    rows = table("HOST", "PATH", "FIELD", "VALUE", "FROM")
    for host in hosts:
        for route in host.routes:
            for row in policy_rows(route.policy) if route.policy is not None else ():
                rows.add_row(host.host, route.path, *row)
    if rows.row_count:
        stdout.print()
        stdout.print(rows)


def _print_summary(diagnostics: tuple[Diagnostic, ...]) -> None:
    counts = {severity: sum(d.severity is severity for d in diagnostics) for severity in Severity}
    errors, warnings = counts[Severity.ERROR], counts[Severity.WARNING]
    stderr.print(f"{errors} error{'s'[: errors != 1]}, {warnings} warning{'s'[: warnings != 1]}")
