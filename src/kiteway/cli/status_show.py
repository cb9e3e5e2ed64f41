"""The status of an instance as text. Each fact is a separate line, so that nothing is lost on a narrow terminal."""

from __future__ import annotations

import datetime as dt
from typing import Final

from kiteway.cli.cache_show import cache_lines
from kiteway.cli.output import print_problems, stdout
from kiteway.cli.terminal import Part, line
from kiteway.report.certificates import ManagedCertificateReport
from kiteway.report.configuration import ConfigurationReport
from kiteway.report.exports import ExportReport
from kiteway.report.pools import EndpointHealth, EndpointReport, PoolReport
from kiteway.report.status import State, Status

_COLOURS: Final = {State.READY: "green", State.DEGRADED: "yellow", State.NOT_READY: "red"}
_MOST_REASONS: Final = 10
"""Reasons that are printed; all are in the JSON."""
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"))


def print_status(value: Status) -> None:
    """Print ``value`` on standard output."""
    now = dt.datetime.now(dt.UTC)
    _print_state(value)
    if value.supervisor is not None:
        for name, child in value.supervisor.children.items():
            if child.restarts:
                times = "once" if child.restarts == 1 else f"{child.restarts} times, last"
                stdout.print(f"{name} was restarted {times} after: {child.last_exit}")
    if not value.answered:
        return
    envoy = value.envoy
    stdout.print(
        f"Envoy {envoy.version} {envoy.state}, up {_duration(envoy.uptime_seconds)}" if envoy.reachable else envoy.error
    )
    stdout.print("filter loaded" if value.filter.loaded else f"filter: {value.filter.reason}")
    for listener in value.listeners:
        stdout.print(f"listens for {listener.name} on {listener.address}:{listener.port}")
    if not value.listeners:
        stdout.print(line(("no listener is in use", "yellow"), ": no client can connect"))
    for pool in value.pools:
        _print_pool(pool, now)
    for certificate in value.certificates:
        problems = "".join(f", {problem.reason}" for problem in certificate.problems)
        kind = "temporary certificate" if certificate.temporary else "certificate"
        names = ", ".join(certificate.names)
        stdout.print(f"{kind} {certificate.name} for {names}: {certificate.days_left} days left{problems}")
    for managed in value.managed_certificates:
        _print_managed(managed)
    for target in value.policies:
        stdout.print(f"policy {target.policy} {target.reason}: {target.message}")
    if value.export is not None:
        _print_export(value.export, now)
    _print_configuration(value.configuration, now)
    print_problems(value.diagnostics, stdout)


def _print_configuration(configuration: ConfigurationReport, now: dt.datetime) -> None:
    for rejection in configuration.rejections:
        stdout.print(line(("Envoy rejects", "red"), f" {', '.join(rejection.resources)}: {rejection.message}"))
    for held in configuration.quarantine:
        served = "its last accepted version is served" if held.served else "it is not served"
        since = f" since {_ago(held.since, now)}" if held.since else ""
        stdout.print(line(("quarantine", "red"), f": {held.object}{since}; {served}"))


def health_words(endpoint: EndpointReport, now: dt.datetime) -> str:
    """Return the health of an endpoint in words: why, and since when."""
    since = f", since {_ago(endpoint.since, now)}" if endpoint.since else ""
    match endpoint.health:
        case EndpointHealth.HEALTHY | EndpointHealth.EJECTED if endpoint.calls_fail:
            failing = f", since {_ago(endpoint.calls_fail_since, now)}" if endpoint.calls_fail_since else ""
            return f"passes its check, but every call to it fails{failing}: {endpoint.calls_fail}"
        case EndpointHealth.HEALTHY:
            return f"healthy{since}"
        case EndpointHealth.FAILING:
            check = endpoint.check or "health check"
            return f"{endpoint.why}{since} ({check})" if endpoint.why else f"fails its check: {check}{since}"
        case EndpointHealth.EJECTED:
            return f"gets no calls for a while, because calls to it failed{since}"
        case EndpointHealth.PENDING:
            return f"not checked yet{since}"
        case EndpointHealth.LEAVING:
            return f"leaving: no new calls{since}"
        case EndpointHealth.UNHEALTHY:
            return f"{', '.join(endpoint.failures)}{since}"


def _print_state(value: Status) -> None:
    version = f"{value.version} " if value.version else ""
    stdout.print(line(f"Kiteway {version}", (str(value.state), _COLOURS[value.state])))
    for reason in value.reasons[:_MOST_REASONS]:
        stdout.print(f"  {reason}")
    if len(value.reasons) > _MOST_REASONS:
        stdout.print(f"  and {len(value.reasons) - _MOST_REASONS} more: kiteway status --output json")


def _print_pool(pool: PoolReport, now: dt.datetime) -> None:
    stdout.print(f"endpoints of {pool.name}: {pool.tls.how}")
    for problem in pool.tls.problems:
        stdout.print(f"  {problem}")
    for endpoint in pool.endpoints:
        health: Part = (health_words(endpoint, now), "" if endpoint.healthy and not endpoint.calls_fail else "yellow")
        calls = f"{endpoint.calls} calls, {endpoint.errors} errors, {endpoint.active} active"
        stdout.print(line(f"  {endpoint.address}  ", health, f"  {calls}"))
    if not pool.endpoints:
        stdout.print("  none")
    for text in cache_lines(pool.cache):
        stdout.print(f"  {text}")


def _print_managed(managed: ManagedCertificateReport) -> None:
    stdout.print(f"managed certificate {managed.name} {managed.certificate_status}")
    for domain in managed.domain_status:
        stdout.print(f"  {domain.domain} {domain.status}{f': {domain.message}' if domain.message else ''}")
    if managed.waiting_for:
        stdout.print(f"  waiting for {managed.waiting_for}")
    for text in (managed.message, managed.fix):
        if text:
            stdout.print(f"  {text}")
    if managed.next_attempt is not None:
        stdout.print(f"  next attempt at {managed.next_attempt:%Y-%m-%d %H:%M:%S} UTC")


def _print_export(export: ExportReport, now: dt.datetime) -> None:
    what = f"traces of {export.sampling_percent:g} %{' and the access log' if export.logs else ''} to {export.endpoint}"
    stdout.print(f"exports {what}: {export.accepted} exports accepted, {export.failed} lost")
    if export.problem:
        since = f", since {_ago(export.since, now)}" if export.since else ""
        stdout.print(line(("  exports are lost", "yellow"), f"{since}: {export.problem}"))


def _ago(since: dt.datetime, now: dt.datetime) -> str:
    return _duration(int((now - since).total_seconds()))


def _duration(seconds: int) -> str:
    """Return a duration in its largest unit: ``40 s``, ``12 min``, ``3 h``, ``2 d``."""
    for length, unit in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{max(0, seconds)} s"
