"""Envoy's statistics: the useful ones of many thousands."""

from __future__ import annotations

import re

_HTTP = (
    "downstream_cx_active|downstream_cx_total|downstream_cx_rx_bytes_total|downstream_cx_tx_bytes_total"
    "|downstream_cx_max_duration_reached|downstream_rq_total|downstream_rq_active|downstream_rq_[1-5]xx"
    "|downstream_rq_time|downstream_rq_rx_reset|downstream_rq_too_many_premature_resets"
)
_POOL = (
    "upstream_cx_active|upstream_cx_total|upstream_cx_connect_fail|upstream_cx_connect_timeout"
    "|upstream_rq_total|upstream_rq_active|upstream_rq_[1-5]xx|upstream_rq_time|upstream_rq_timeout"
    "|upstream_rq_rx_reset|upstream_rq_retry|upstream_rq_retry_success|upstream_rq_retry_overflow"
    "|upstream_rq_pending_overflow|membership_total|membership_healthy"
    r"|health_check\.attempt|health_check\.failure"
    r"|outlier_detection\.ejections_active|outlier_detection\.ejections_enforced_total"
)
_SERVER = "live|uptime|memory_allocated|memory_heap_size|total_connections"

USEFUL = "|".join(
    (
        rf"^http\.(?:https|http|grpc)\.(?:{_HTTP})$",
        rf"^cluster\.pool/.*\.(?:{_POOL})$",
        r"^(?:cluster\.pool/.*\.)?kiteway\.",
        rf"^server\.(?:{_SERVER})$",
        r"^overload\..*\.active$",
        r"^listener\..*\.downstream_cx_overflow$",
    )
)
"""
A RE2 expression for Envoy's own names of the statistics that are shown.

Nothing in them grows with clients, paths or databases: listeners, pools, and the rpcs of the catalogue.
"""


def is_useful(name: str) -> bool:
    """Return whether a statistic is shown."""
    return re.search(USEFUL, name) is not None
