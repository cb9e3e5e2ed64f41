"""Doctor's reports as JSON shows them."""

from __future__ import annotations

import msgspec

from kiteway.doctor import Report
from kiteway.doctor.document import DoctorReport


def assert_convertible(report: Report) -> None:
    """Assert that every value of a report has the type that its schema says."""
    document = DoctorReport.of_report(report)
    assert msgspec.convert(msgspec.to_builtins(document), DoctorReport) == document
