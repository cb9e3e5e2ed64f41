"""Whether the running instance's traces and logs arrive at their collector."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.machine import MACHINE, MachineFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped


def _check(facts: MachineFacts) -> Iterator[Finding]:
    export = facts.export
    if export is None:
        yield skipped(MACHINE, "no instance that exports traces runs here.")
    elif export.problem:
        yield failed(
            MACHINE,
            f"exports to the collector {export.endpoint} are lost: {export.problem}.",
            "See that a collector takes OTLP over HTTP at this address (the OpenTelemetry Collector: the receiver otlp with "
            "the protocol http, port 4318), or change --otlp-endpoint.",
        )
    else:
        yield passed(MACHINE, f"exports to {export.endpoint} are not lost ({export.accepted} accepted).")


RULE = Rule(
    "OTLP_EXPORT",
    "The export of traces",
    "Envoy drops spans and log records that the collector does not take; calls do not notice.",
    Scope.MACHINE,
    _check,
    Severity.WARNING,
)
