"""The decoder alone, without files and kinds."""

from __future__ import annotations

from kiteway.resources.decode import INVALID, Report, structure
from kiteway.resources.kinds.backend_config import HealthCheckConfig
from kiteway.resources.kinds.service import ServiceSpec


def test_a_value_that_breaks_a_rule_of_several_fields_is_not_built() -> None:
    """The decoder returns INVALID, and the report says why."""
    report = Report()

    assert structure(HealthCheckConfig)({"checkIntervalSec": 5, "timeoutSec": 6}, (), report) is INVALID
    assert [mistake.path for mistake in report.mistakes] == [("timeoutSec",)]


def test_a_full_report_counts_further_mistakes() -> None:
    """Of fifty mistakes three are stored; all are counted."""
    report = Report(room=3)

    structure(ServiceSpec)({"ports": [{"port": 0}] * 50}, (), report)

    assert (len(report.mistakes), report.found, report.errors) == (3, 50, 50)
