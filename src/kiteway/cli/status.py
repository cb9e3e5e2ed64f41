"""`kiteway status`: what the running instance does."""

from __future__ import annotations

from typing import Any

import typer

from kiteway.cli.options import DataDirOption
from kiteway.cli.output import Output, OutputOption, emit, fail, print_reported, stdout
from kiteway.cli.terminal import line, table
from kiteway.instance import Instance, default_data_dir
from kiteway.status.client import read_status
from kiteway.status.state import State
from kiteway.supervisor import read_state

_EXIT = {State.READY: 0, State.DEGRADED: 3, State.NOT_READY: 1}
_COLOURS = {State.READY: "green", State.DEGRADED: "yellow", State.NOT_READY: "red"}
_CHECK = "failed_active_health_check"  # Envoy's word
_REASONS = 10
"""So many reasons are printed; all are in the JSON."""


def status(data_dir: DataDirOption = None, output: OutputOption = Output.TABLE) -> None:
    """
    Show what the running instance does: listeners, hosts, endpoints, certificates, and what is wrong.

    It is ready when Envoy serves all that was asked of it, degraded when it serves but some objects are rejected, a host
    has no endpoint or no endpoint of it passes its check, and not ready when a listener or a route table is missing.

    Exit status: 0 ready, 3 degraded, 1 not ready or not running, 2 usage error.

    Examples:
    \b
      kiteway status
      kiteway status --output json | jq '.pools[].endpoints'
      kiteway status --output json | jq -r '.state, .reasons[]'
    """
    instance = Instance(data_dir or default_data_dir())
    pid = instance.running_pid()
    if pid is None:
        raise fail(f"no instance runs on {instance.data_dir}; start one with `kiteway up`")
    value = read_status(instance)
    value["supervisor"] = _supervisor(instance)
    if output is Output.TABLE:
        _print(value)
    else:
        emit(value, output)
    raise typer.Exit(_EXIT[State(value["state"])])


def _supervisor(instance: Instance) -> dict[str, Any]:
    state = read_state(instance.supervisor_file)
    if state is None:
        return {}
    return {
        "pid": state.pid,
        "phase": state.phase,
        "children": {
            name: {
                "pid": child.pid,
                "answers": child.silent_since is None,
                "restarts": child.restarts,
                "lastExit": child.last_exit,
            }
            for name, child in state.children.items()
        },
    }


def _print(value: dict[str, Any]) -> None:
    _print_state(value)
    envoy = value.get("envoy", {})
    if envoy.get("reachable"):
        stdout.print(f"Envoy {envoy['version']} {envoy['state']}, up {envoy['uptimeSeconds']} s")
    for name, child in value.get("supervisor", {}).get("children", {}).items():
        if child["restarts"]:
            stdout.print(f"{name} was started again {child['restarts']} times, last after: {child['lastExit']}")
    if "filter" in value:
        found = value["filter"]
        stdout.print("filter loaded" if found["loaded"] else f"filter: {found['reason']}")
    for listener in value.get("listeners", ()):
        stdout.print(f"listens for {listener['name']} on {listener['address']}:{listener['port']}")
    _print_endpoints(value)
    for pool in value.get("pools", ()):
        stdout.print(f"endpoints of {pool['name']}: {pool['tls']['how']}")
        for problem in pool["tls"]["problems"]:
            stdout.print(f"  {problem}")
    for certificate in value.get("certificates", ()):
        problems = "".join(f", {problem['reason']}" for problem in certificate["problems"])
        names = ", ".join(certificate["names"])
        kind = "temporary certificate" if certificate["temporary"] else "certificate"
        stdout.print(f"{kind} {certificate['name']} for {names}: {certificate['daysLeft']} days left{problems}")
    _print_managed(value)
    for rejection in value.get("configuration", {}).get("rejections", ()):
        rejected = f" {', '.join(rejection['resources'])}: {rejection['message']}"
        stdout.print(line(("Envoy rejects", "red"), rejected))
    print_reported(value.get("diagnostics", ()), stdout)


def _print_state(value: dict[str, Any]) -> None:
    state, reasons = State(value["state"]), value["reasons"]
    stdout.print(line(f"Kiteway {value.get('version', '')} ", (str(state), _COLOURS[state])))
    for reason in reasons[:_REASONS]:
        stdout.print(f"  {reason}")
    if len(reasons) > _REASONS:
        stdout.print(f"  and {len(reasons) - _REASONS} more: kiteway status --output json")


def _print_managed(value: dict[str, Any]) -> None:
    for managed in value.get("managedCertificates", ()):
        stdout.print(f"managed certificate {managed['name']} {managed['certificateStatus']}")
        for domain in managed["domainStatus"]:
            stdout.print(f"  {domain['domain']} {domain['status']}")
        if managed["waitingFor"]:
            stdout.print(f"  waiting for {managed['waitingFor']}")
        for text in (managed["message"], managed["fix"]):
            if text:
                stdout.print(f"  {text}")
        if managed["nextAttempt"]:
            stdout.print(f"  next attempt at {managed['nextAttempt']}")


def _print_endpoints(value: dict[str, Any]) -> None:
    rows = table("POOL", "ENDPOINT", "HEALTH", "CALLS", "ERRORS", "ACTIVE")
    for pool in value.get("pools", ()):
        for endpoint in pool["endpoints"]:
            failures = [why for why in endpoint["failures"] if not (endpoint["checkFails"] and why == _CHECK)]
            if endpoint["checkFails"]:
                failures.insert(0, f"fails its check: {endpoint['check']}")
            health = ", ".join(failures) or "healthy"
            calls = (str(endpoint[key]) for key in ("calls", "errors", "active"))
            rows.add_row(pool["name"], endpoint["address"], health, *calls)
        if not pool["endpoints"]:
            rows.add_row(pool["name"], "none")
    if rows.row_count:
        stdout.print(rows)
