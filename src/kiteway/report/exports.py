"""What `kiteway status` says of the export to a collector."""

from __future__ import annotations

import datetime as dt

import msgspec


class ExportReport(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    The export of traces, and perhaps of the access log, to an OpenTelemetry collector.

    Attributes:
        endpoint: the collector's URL.
        sampling_percent: the share of calls that are traced, of those whose client does not decide it.
        logs: whether the access log is exported.
        accepted: exports that the collector accepted since Envoy's start. Each has many spans or records.
        failed: exports that were lost since Envoy's start.
        problem: why the newest export was lost; empty if it was accepted, or there was none.
        since: since when exports are lost; null if they are not, or that was before the control plane's start.
    """

    endpoint: str
    sampling_percent: float
    logs: bool
    accepted: int = 0
    failed: int = 0
    problem: str = ""
    since: dt.datetime | None = None
