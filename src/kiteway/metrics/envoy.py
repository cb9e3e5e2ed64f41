"""Envoy's statistics: the useful ones of many thousands."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable

from kiteway.envoy.xds.common import grpc_cluster_name, rest_cluster_name
from kiteway.model import PoolKey

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
        rf"^cluster\.pool/[^.]*\.(?:{_POOL})$",
        r"^cluster\.pool/[^.]*\.kiteway\.",
        rf"^server\.(?:{_SERVER})$",
        r"^overload\..*\.active$",
        r"^listener\.[0-9\[].*\.downstream_cx_overflow$",
    )
)
"""
A RE2 expression for Envoy's own names of the statistics that are shown.

Nothing in them grows with clients, paths or databases: listeners, pools, and the rpcs of the catalogue.
"""

_OF_FILTER = re.compile(rb"^(# TYPE )?envoy_cluster_(?:(pool_\w+?)_)?kiteway_(\w+)(.*)$", re.DOTALL)
_COUNTED = re.compile(rb"^((?:requests|responses)_total)_(rpc|status)_(\w+)$")
_NOT_A_NAME = re.compile(r"[^a-zA-Z0-9_]")


async def labelled(pieces: AsyncIterator[bytes], pools: Iterable[PoolKey]) -> AsyncIterator[bytes]:
    """
    Yield the lines of ``pieces`` with labels where Envoy puts what they say into the names of the filter's statistics.

    What is counted by a label has the pool in its name, since Envoy finds its own tags only in names that it reads. What
    has a counter of its own has the call or the status in it.
    """
    names = [name(pool) for pool in pools for name in (grpc_cluster_name, rest_cluster_name)]
    clusters = {_NOT_A_NAME.sub("_", name).encode(): name.encode() for name in names}
    known: set[bytes] = set()
    async for line in _lines(pieces):
        found = _OF_FILTER.match(line)
        if found is None or (found[2] is not None and found[2] not in clusters):
            yield line
            continue
        kind, pool, name, rest = found.groups()
        counted = _COUNTED.match(name)
        name = counted[1] if counted else name
        if kind:
            if name not in known:
                known.add(name)
                yield b"# TYPE envoy_cluster_kiteway_" + name + rest
        elif pool:
            label = b'{envoy_cluster_name="' + clusters[pool] + b'"'
            yield b"envoy_cluster_kiteway_" + name + label + b"," + rest.lstrip(b"{")
        elif counted:
            label = b"," + counted[2] + b'="' + counted[3] + b'"}'
            yield b"envoy_cluster_kiteway_" + name + rest.replace(b"}", label, 1)
        else:
            yield line


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line + b"\n"
    yield rest
