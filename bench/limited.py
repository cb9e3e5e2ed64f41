"""An Envoy with the filter before one Milvus, with the admission of a policy or without, in plaintext."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymilvus

from bench.outcome import BenchError
from bench.processes import free_port, running, tail
from kiteway.envoy.binary import find_envoy
from kiteway.filter import filter_path

_START_SECONDS = 60.0


def credentials(user: str) -> str:
    """Return the value of `authorization` of a user."""
    return base64.b64encode(f"{user}:secret".encode()).decode()


@contextmanager
def limited_envoy(work: Path, milvus: int, admission: dict[str, Any], *, wait_ms: int) -> Iterator[int]:
    """
    Run Envoy with the filter on two workers; the port.

    Args:
        work: a folder for its configuration and log.
        milvus: the port of 127.0.0.1 of Milvus.
        admission: the limits of the filter's `admission`; empty for a route without a policy.
        wait_ms: milliseconds that a call waits at most.

    Raises:
        BenchError: Envoy does not serve.
    """
    port = free_port()
    config, log = work / "envoy.json", work / "envoy.log"
    config.write_text(json.dumps(_config(port, milvus, admission, wait_ms)))
    command = [find_envoy(), "-c", config, "--disable-hot-restart", "--concurrency", "2", "-l", "warn"]
    with running(command, log) as process:
        client = pymilvus.MilvusClient
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                client(f"http://127.0.0.1:{port}", timeout=2).close()
                break
            except pymilvus.MilvusException as error:
                if process.poll() is not None or time.monotonic() > end:
                    raise BenchError(f"Envoy does not serve: {tail(log)}") from error
        yield port


def _config(port: int, milvus: int, admission: dict[str, Any], wait_ms: int) -> dict[str, Any]:
    types = "type.googleapis.com/envoy.extensions"
    module = {
        "metrics_namespace": "kiteway",
        "do_not_close": True,
        "module": {"local": {"filename": str(filter_path())}},
    }

    def entry(mode: str) -> dict[str, Any]:
        return {
            "name": "kiteway",
            "typed_config": {
                "@type": f"{types}.filters.http.dynamic_modules.v3.DynamicModuleFilter",
                "filter_name": "kiteway",
                "dynamic_module_config": module,
                "filter_config": _text({"mode": mode}),
            },
        }

    route: dict[str, Any] = {"match": {"prefix": "/"}, "route": {"cluster": "milvus", "timeout": "0s"}}
    if admission:
        policy = {"admission": {"scope": "milvus", "waitMs": wait_ms, "queuedBytes": 1 << 26, **admission}}
        per_route = {
            "@type": f"{types}.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute",
            "filter_name": "kiteway",
            "dynamic_module_config": module,
            "filter_config": _text({"policy": policy}),
        }
        route["typed_per_filter_config"] = {"kiteway": per_route}
    manager = {
        "@type": f"{types}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "codec_type": "HTTP2",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {**entry("downstream"), "disabled": True},
            {"name": "router", "typed_config": {"@type": f"{types}.filters.http.router.v3.Router"}},
        ],
    }
    listener = {
        "name": "in",
        "address": _address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    protocol = {
        "@type": f"{types}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(milvus)}}]}]
    cluster = {
        "name": "milvus",
        "load_assignment": {"cluster_name": "milvus", "endpoints": endpoints},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol},
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _text(value: dict[str, Any]) -> dict[str, str]:
    return {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": json.dumps(value)}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
