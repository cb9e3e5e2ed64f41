"""
The static part of Envoy's configuration: the connection to the control plane, and the overload limits.

Everything else comes over ADS. It contains no secret.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kiteway.envoy.descriptors import Descriptors
from kiteway.envoy.statistics import kept
from kiteway.instance import Instance

ADS_CLUSTER = "kiteway.ads"
NODE_CLUSTER = "kiteway"
_MIB = 1024 * 1024
_VALIDATE_TIMEOUT_SECONDS = 60
# What an open TLS connection with one HTTP/2 stream may cost Envoy in buffers and TLS state before it carries data.
_CONNECTION_BYTES = 128 * 1024
_TYPES = "type.googleapis.com/envoy"
# The paths of an rpc class are one expression, longer than Envoy's default limit of 100 instructions.
_RUNTIME = {
    "re2.max_program_size.error_level": 10_000,
    "re2.max_program_size.warn_level": 10_000,
    # Envoy closes a connection ("rapid reset") when half of this many streams were reset within a second of their start. Its
    # default (500) would disconnect a client after 250 searches that miss their deadline; an attacker resets this many in a
    # second.
    "overload.premature_reset_total_stream_count": 10_000,
    # Each worker exports its spans once a second, or when it has this many. Envoy's default, 5 spans, would be two hundred
    # exports a second for a thousand traced calls.
    "tracing.opentelemetry.flush_interval_ms": 1_000,
    "tracing.opentelemetry.min_flush_spans": 128,
}


@dataclass(frozen=True)
class OverloadLimits:
    """
    The resources that Envoy may use before it sheds load.

    Attributes:
        max_heap_bytes: shedding begins at 85 % of it; at 95 % new requests are answered 503.
        max_connections: downstream connections over all listeners; one more is closed at once.
    """

    max_heap_bytes: int
    max_connections: int

    @classmethod
    def of_this_machine(cls) -> OverloadLimits:
        """
        Return the limits for this machine.

        The heap is three quarters of the cgroup's memory limit. Without such a limit it is a quarter of the machine's memory,
        because Milvus runs there too. The connections are as many as fit into half of the heap, but at most what
        `Descriptors` gives.
        """
        heap = max(_memory_budget(), 128 * _MIB)
        by_heap = heap // 2 // _CONNECTION_BYTES
        descriptors = Descriptors.of_this_process()
        return cls(heap, by_heap if descriptors is None else min(by_heap, descriptors.connections))


def _memory_budget(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limit = int((cgroup / name).read_text())
        except (OSError, ValueError):  # no such controller, or "max"
            continue
        if limit < total:
            return limit * 3 // 4
    return total // 4


def bootstrap(instance: Instance, *, node_id: str, limits: OverloadLimits) -> dict[str, Any]:
    """Return the bootstrap of an Envoy that belongs to ``instance``, as JSON values."""
    return {
        "node": {"id": node_id, "cluster": NODE_CLUSTER},
        "admin": {
            "address": {"pipe": {"path": str(instance.admin_socket), "mode": 0o600}},
            # An operator needs the admin API most when the connection limit is reached.
            "ignore_global_conn_limit": True,
        },
        "dynamic_resources": {
            "ads_config": _ads(),
            "cds_config": _over_ads(),
            "lds_config": _over_ads(),
        },
        "static_resources": {"clusters": [_ads_cluster(instance)]},
        "overload_manager": _overload_manager(instance, limits),
        # No tags of our own: Envoy searches every name for each of them, which takes 3 s with 1,000 pools.
        "stats_config": {"use_all_default_tags": True, "stats_matcher": kept()},
        # No sink takes statistics: without this Envoy iterates over all of them every 5 s, 0.15 s with 1,000 pools.
        "stats_flush_on_admin": True,
        "layered_runtime": {
            # No admin layer: the control plane alone decides the running configuration.
            "layers": [{"name": "kiteway", "static_layer": _RUNTIME}],
        },
    }


def _ads() -> dict[str, Any]:
    return {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [
            {
                "envoy_grpc": {
                    "cluster_name": ADS_CLUSTER,
                    # Envoy's default is up to 30 s; the control plane restarts within 1 s.
                    "retry_policy": {"retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}},
                }
            }
        ],
    }


def _over_ads() -> dict[str, Any]:
    # No timeout: Envoy is ready when the first configuration is active, not after 15 s without one.
    return {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}


def _ads_cluster(instance: Instance) -> dict[str, Any]:
    return {
        "name": ADS_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {
                    "http2_protocol_options": {
                        # Detects a control plane that hangs.
                        "connection_keepalive": {"interval": "30s", "timeout": "10s"}
                    }
                },
            }
        },
        "load_assignment": {
            "cluster_name": ADS_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": str(instance.ads_socket)}}}}]}],
        },
    }


_HEAP = "envoy.resource_monitors.fixed_heap"
_DRAIN = "envoy.resource_monitors.injected_resource"
_CONNECTIONS = "envoy.resource_monitors.global_downstream_max_connections"


def _overload_manager(instance: Instance, limits: OverloadLimits) -> dict[str, Any]:
    return {
        "refresh_interval": "0.25s",
        "buffer_factory_config": {
            # Streams that buffer at least 1 MiB are tracked; reset_high_memory_stream resets the largest first.
            "minimum_account_to_track_power_of_two": 20
        },
        "resource_monitors": [
            {
                "name": _HEAP,
                "typed_config": {
                    "@type": f"{_TYPES}.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                    "max_heap_size_bytes": limits.max_heap_bytes,
                },
            },
            {
                "name": _CONNECTIONS,
                "typed_config": {
                    "@type": (
                        f"{_TYPES}.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
                    ),
                    "max_active_downstream_connections": limits.max_connections,
                },
            },
            {
                # While it drains, Envoy sends a GOAWAY only with the next answer, so that the next call of an idle client
                # would fail. Overload "pressure" on idle timeouts sends idle clients the GOAWAY at once.
                "name": _DRAIN,
                "typed_config": {
                    "@type": f"{_TYPES}.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig",
                    "filename": str(instance.drain_file),
                },
            },
        ],
        "actions": [
            {
                "name": "envoy.overload_actions.reduce_timeouts",
                "triggers": [_scaled(0.85, 0.95), {"name": _DRAIN, "threshold": {"value": 1}}],
                "typed_config": {
                    "@type": f"{_TYPES}.config.overload.v3.ScaleTimersOverloadActionConfig",
                    "timer_scale_factors": [
                        # Idle connections only: a stream without data may wait for a search in Milvus.
                        {"timer": "HTTP_DOWNSTREAM_CONNECTION_IDLE", "min_timeout": "1s"},
                        {"timer": "TRANSPORT_SOCKET_CONNECT", "min_timeout": "1s"},
                    ],
                },
            },
            {"name": "envoy.overload_actions.shrink_heap", "triggers": [_at(0.90)]},
            {"name": "envoy.overload_actions.reset_high_memory_stream", "triggers": [_scaled(0.92, 0.98)]},
            {"name": "envoy.overload_actions.stop_accepting_requests", "triggers": [_at(0.95)]},
            {"name": "envoy.overload_actions.stop_accepting_connections", "triggers": [_at(0.98)]},
        ],
    }


def _watching(config: dict[str, Any], drain_file: Path) -> dict[str, Any]:
    """Return ``config`` with another drain file, because the instance's own exists only while it runs."""
    config = copy.deepcopy(config)
    for monitor in config.get("overload_manager", {}).get("resource_monitors", ()):
        if monitor["name"] == _DRAIN:
            monitor["typed_config"]["filename"] = str(drain_file)
    return config


def _at(value: float) -> dict[str, Any]:
    return {"name": _HEAP, "threshold": {"value": value}}


def _scaled(scaling: float, saturation: float) -> dict[str, Any]:
    return {"name": _HEAP, "scaled": {"scaling_threshold": scaling, "saturation_threshold": saturation}}


def validate(envoy: Path, config: dict[str, Any]) -> str | None:
    """
    Return the error with which Envoy rejects ``config``, or None when it accepts it.

    Envoy loads everything as at startup, binds no port and exits.
    """
    with tempfile.TemporaryDirectory(prefix="kiteway-validate-") as directory:
        file = Path(directory, "bootstrap.json")
        file.touch(mode=0o600)
        file.write_text(json.dumps(_watching(config, Path(directory, "drain"))))
        try:
            result = subprocess.run(
                [envoy, "--mode", "validate", "--disable-hot-restart", "--log-level", "error", "-c", file],
                capture_output=True,
                check=False,
                encoding="utf-8",
                errors="replace",
                timeout=_VALIDATE_TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return f"Envoy did not answer within {_VALIDATE_TIMEOUT_SECONDS} s."
    if result.returncode == 0:
        return None
    return (result.stderr.strip() or result.stdout.strip() or f"Envoy ended with status {result.returncode}.").replace(
        str(file), "the bootstrap"
    )
