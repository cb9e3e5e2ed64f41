"""xDS messages as one static configuration: to be checked by Envoy, or for an Envoy of a test."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from kiteway.envoy.bootstrap import OverloadLimits, bootstrap
from kiteway.instance import Instance

_LIMITS = OverloadLimits(max_heap_bytes=512 * 1024 * 1024, max_connections=1000)


def static_bootstrap(messages: Iterable[Message], data_dir: Path) -> dict[str, Any]:
    """
    Return Kiteway's bootstrap with ``messages`` in it instead of ADS.

    What one resource names in another (RDS, EDS, SDS) stands where it is named, so that Envoy looks at all of it.
    """
    kinds: dict[str, dict[str, dict[str, Any]]] = {}
    for message in messages:
        value = MessageToDict(message, preserving_proto_field_name=True)
        name = value.get("name") or value["cluster_name"]
        kinds.setdefault(message.DESCRIPTOR.name, {})[name] = value
    routes = kinds.get("RouteConfiguration", {})
    endpoints = kinds.get("ClusterLoadAssignment", {})
    clusters = [_with_endpoints(c, endpoints[name]) for name, c in sorted(kinds.get("Cluster", {}).items())]
    config = bootstrap(Instance(data_dir), node_id="test", limits=_LIMITS)
    del config["dynamic_resources"]
    config["static_resources"] = {
        "listeners": [_inlined(listener, routes) for listener in kinds.get("Listener", {}).values()],
        "clusters": [_inlined(cluster, routes) for cluster in clusters],
        "secrets": list(kinds.get("Secret", {}).values()),
    }
    return config


def _with_endpoints(cluster: dict[str, Any], assignment: dict[str, Any]) -> dict[str, Any]:
    static = {key: value for key, value in cluster.items() if key != "eds_cluster_config"}
    return {**static, "type": "STATIC", "load_assignment": assignment}


def _inlined(value: Any, routes: dict[str, dict[str, Any]]) -> Any:
    if isinstance(value, list):
        return [_inlined(item, routes) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _inlined(item, routes) for key, item in value.items() if key != "sds_config"}
    if "rds" in found:
        found["route_config"] = copy.deepcopy(routes[found.pop("rds")["route_config_name"]])
    return found


def together(configs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return one configuration with the resources of several, each with separate names and a separate address; for a check."""
    found = copy.deepcopy(configs[0])
    resources: dict[str, list[Any]] = {"listeners": [], "clusters": [], "secrets": []}
    for index, config in enumerate(configs):
        text = json.dumps({kind: config["static_resources"][kind] for kind in resources})
        # The names that one resource knows another by begin so (kiteway.envoy.xds.common).
        for prefix in ("pool/", "certificate/", "ca/"):
            text = text.replace(f'"{prefix}', f'"{index}/{prefix}')
        own = json.loads(text)
        for listener in own["listeners"]:
            listener["name"] = f"{index}/{listener['name']}"
            listener["address"]["socket_address"]["address"] = f"127.1.0.{index + 1}"
        for kind, values in own.items():
            resources[kind] += values
    kept = [c for c in found["static_resources"]["clusters"] if not c["name"].startswith("pool/")]
    found["static_resources"] = {**resources, "clusters": [*kept, *resources["clusters"]]}
    return found
