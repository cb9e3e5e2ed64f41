"""
The statistics that Envoy keeps.

Envoy has two hundred for each pool. Each takes memory, and one that counts calls costs each call two atomic additions.
So Envoy keeps only those that Kiteway shows or reads.
"""

from __future__ import annotations

from typing import Any

from kiteway.envoy.otlp import CLUSTER

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
    r"|http2\.keepalive_timeout|update_success|kiteway\..*"
)
_COLLECTOR = "upstream_rq_[2-5]xx"
_COLLECTOR_FAILURES = (
    "upstream_cx_none_healthy|upstream_cx_connect_fail|upstream_rq_timeout"
    r"|ssl\.(?:fail_verify_error|fail_verify_san|connection_error)"
)
_SERVER = "live|uptime|memory_allocated|memory_heap_size|total_connections"

SHOWN = "|".join(
    (
        rf"http\.(?:https|http|grpc)\.(?:{_HTTP})",
        rf"cluster\.pool/[^.]*\.(?:{_POOL})",
        rf"cluster\.{CLUSTER}\.(?:{_COLLECTOR})",
        rf"server\.(?:{_SERVER})",
        r"overload\..*\.active",
        r"listener\.[0-9\[].*\.downstream_cx_overflow",
        r"kiteway\.(?:refused_total|queued|queue_time)\..*",
    )
)
"""
An RE2 expression for the whole names, as Envoy writes them, of the statistics on the metrics page.

Their number depends on listeners, pools and the rpcs of the catalogue, never on clients, paths or databases.
"""

HANDSHAKES = r"cluster\.pool/[^.]*\.ssl\.(?:fail_verify_error|fail_verify_san|connection_error)"
"""The same for failed TLS handshakes with endpoints, which the status shows."""

EXPORTS = rf"cluster\.{CLUSTER}\.(?:{_COLLECTOR}|{_COLLECTOR_FAILURES})"
"""The same for exports to the collector, which the status shows."""

CONNECTIONS = r"http\.(?:https|http|grpc)\.downstream_(?:cx_active|cx_http1_active|rq_active)"
"""The same for client connections and their requests; a process that stops waits for them to end."""

_OF_THE_PROCESS = r"(?:server|listener_manager|cluster_manager|overload|control_plane|cluster\.kiteway\.ads)\..*"
"""The same for statistics of the whole process; `kiteway.supervisor.ready` reads Envoy's start from them."""


def kept() -> dict[str, Any]:
    """Return the part of the bootstrap that selects the statistics, as JSON values."""
    patterns = (SHOWN, HANDSHAKES, EXPORTS, CONNECTIONS, _OF_THE_PROCESS)
    return {"inclusion_list": {"patterns": [{"safe_regex": {"regex": pattern}} for pattern in patterns]}}
