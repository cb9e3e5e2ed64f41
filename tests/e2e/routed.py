"""A real Envoy whose routes have a configuration for the filter, from a file that can be replaced."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kiteway import filter as kiteway_filter
from tests.e2e.test_filter import bootstrap


def routed(
    ports: Sequence[int], parts: Mapping[str, Any], directory: Path, action: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """
    Return the configuration of an Envoy in front of `ports`, whose routes have `parts` for the filter.

    `action` has more fields of the routes' action.
    """
    config = bootstrap(list(ports))
    [listener] = config["static_resources"]["listeners"]
    [chain] = listener["filter_chains"]
    manager = chain["filters"][0]["typed_config"]
    del manager["route_config"]
    routes = directory / "routes.json"
    write_routes(routes, parts, action=action)
    source = {"path_config_source": {"path": str(routes)}, "resource_api_version": "V3"}
    manager["rds"] = {"route_config_name": "routes", "config_source": source}
    return config


def write_routes(
    path: Path, parts: Mapping[str, Any], version: str = "1", action: Mapping[str, Any] | None = None
) -> None:
    """Put routes with `parts` into the file that Envoy watches."""
    per_route = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute",
        "filter_name": "kiteway",
        "dynamic_module_config": {
            # Envoy 1.38 loads what a route names by this, below ENVOY_DYNAMIC_MODULES_SEARCH_PATH.
            "name": "kiteway_filter",
            "metrics_namespace": "kiteway",
            "do_not_close": True,
            "module": {"local": {"filename": str(kiteway_filter.filter_path())}},
        },
        "filter_config": {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": json.dumps(parts),
        },
    }
    routes = {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": "routes",
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "routes": [
                    {
                        "match": {"prefix": "/"},
                        "route": {"cluster": "milvus", "max_stream_duration": {"grpc_timeout_header_max": "0s"}}
                        | dict(action or {}),
                        "typed_per_filter_config": {"kiteway": per_route},
                    }
                ],
            }
        ],
    }
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"version_info": version, "resources": [routes]}))
    new.replace(path)
