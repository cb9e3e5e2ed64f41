"""
A supervised Envoy with a static listener, as a program: ``python supervised.py DATA_DIR PORT UPSTREAM_PORT``.

Everything is as in production but the source of the configuration.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from kiteway.envoy.binary import find_envoy
from kiteway.envoy.bootstrap import OverloadLimits, bootstrap
from kiteway.envoy.xds.common import GRPC_LISTENER
from kiteway.envoy.xds.connection_manager import DRAIN_TIMEOUT
from kiteway.instance import Instance, InstanceError
from kiteway.supervisor import envoy_child, run

_TYPES = "type.googleapis.com/envoy.extensions"
LIMITS = OverloadLimits(max_heap_bytes=512 * 1024 * 1024, max_connections=1000)


def static_bootstrap(instance: Instance, port: int, upstream_port: int) -> dict[str, Any]:
    """Return the production bootstrap with one plaintext listener and one HTTP/2 cluster instead of ADS."""
    config = bootstrap(instance, node_id="test", limits=LIMITS)
    del config["dynamic_resources"]
    http_connection_manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": GRPC_LISTENER,  # the drain counts connections of the real listeners
        "drain_timeout": f"{DRAIN_TIMEOUT:g}s",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "any",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "0s"}}],
                }
            ]
        },
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"}}],
    }
    filters = [{"name": "http", "typed_config": http_connection_manager}]
    upstream = {"socket_address": {"address": "127.0.0.1", "port_value": upstream_port}}
    config["static_resources"] = {
        "listeners": [
            {
                "name": "test",
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                "filter_chains": [{"filters": filters}],
            }
        ],
        "clusters": [
            {
                "name": "upstream",
                "type": "STATIC",
                "connect_timeout": "5s",
                "typed_extension_protocol_options": {
                    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                        "@type": f"{_TYPES}.upstreams.http.v3.HttpProtocolOptions",
                        "explicit_http_config": {"http2_protocol_options": {}},
                    }
                },
                "load_assignment": {
                    "cluster_name": "upstream",
                    "endpoints": [{"lb_endpoints": [{"endpoint": {"address": upstream}}]}],
                },
            }
        ],
    }
    return config


def main() -> int:
    """Run until a signal."""
    instance = Instance(Path(sys.argv[1]))
    port, upstream_port = map(int, sys.argv[2:])
    try:
        with instance.acquire():
            child = envoy_child(
                find_envoy(),
                instance,
                static_bootstrap(instance, port, upstream_port),
                concurrency=1,
                drain_seconds=60,
                env=os.environ,
                waiting_room=True,
            )
            return asyncio.run(run([child], instance, on_event=lambda _: None))
    except InstanceError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
