"""`kiteway status`: the state of the running instance."""

from __future__ import annotations

import time
from typing import Annotated, Final

import msgspec
import typer

from kiteway.cli.options import DataDirOption
from kiteway.cli.output import Output, OutputOption, emit, stdout
from kiteway.cli.running import running_instance, status_of
from kiteway.cli.status_show import print_status
from kiteway.report.status import State, Status

_EXIT: Final = {State.READY: 0, State.DEGRADED: 3, State.NOT_READY: 1}
_WATCH_SECONDS: Final = 2.0


def status(
    *,
    data_dir: DataDirOption = None,
    output: OutputOption = Output.TABLE,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Print it again every 2 seconds, until Ctrl-C.")] = False,
) -> None:
    """
    Show the state of the running instance: listeners, hosts, endpoints, certificates, and what is wrong.

    It is ready when Envoy serves the whole configuration, degraded when it serves but some objects are rejected, every Ingress
    of the files is left out, a host has no endpoint, no endpoint of a Service passes its check or every call to it fails, and
    not ready when a listener or a route table is missing.

    If no instance runs on the directory, the other running instances of this user are named.

    Exit status: 0 ready, 3 degraded, 1 not ready or not running, 2 usage error.

    Examples:
    \b
      kiteway status
      kiteway status --watch
      kiteway status --output json | jq '.pools[].endpoints'
      kiteway status --output json | jq -r '.state, .reasons[]'
    """
    instance = running_instance(data_dir)
    value = status_of(instance)
    _print(value, output)
    try:
        while watch:
            time.sleep(_WATCH_SECONDS)
            value = status_of(instance)
            stdout.clear()  # the screen of a terminal; without effect on a pipe
            _print(value, output)
    except KeyboardInterrupt:
        pass
    raise typer.Exit(_EXIT[value.state])


def _print(value: Status, output: Output) -> None:
    if output is Output.TABLE:
        print_status(value)
    else:
        emit(msgspec.to_builtins(value), output)
