"""The HTTP filter chain, in its one order."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any
from google.protobuf.wrappers_pb2 import StringValue

from kiteway._proto.envoy.config.core.v3.base_pb2 import AsyncDataSource, DataSource
from kiteway._proto.envoy.config.route.v3.route_components_pb2 import FilterConfig, Route
from kiteway._proto.envoy.extensions.dynamic_modules.v3.dynamic_modules_pb2 import DynamicModuleConfig
from kiteway._proto.envoy.extensions.filters.http.dynamic_modules.v3.dynamic_modules_pb2 import (
    DynamicModuleFilter,
    DynamicModuleFilterPerRoute,
)
from kiteway._proto.envoy.extensions.filters.http.router.v3.router_pb2 import Router
from kiteway._proto.envoy.extensions.filters.http.upstream_codec.v3.upstream_codec_pb2 import UpstreamCodec
from kiteway._proto.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpFilter,
)
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.common import pack

FILTER = "kiteway"
"""The name of Kiteway's own filter in every chain."""

_ON = FilterConfig(config=Any())
"""Says nothing to a filter, but turns it on; without a configuration at all Envoy refuses it."""


def http_filters(settings: EnvoySettings) -> list[HttpFilter]:
    """
    Return the filters of a public listener: Kiteway's own, then the router.

    The former is there for the routes that turn it on, and off for all others. With it, what the router would count of
    each pool by the answer's status is counted by Kiteway's filter in the cluster: at a third of the price, and by
    gRPC's status instead of HTTP's.
    """
    filters = []
    router = Router(suppress_envoy_headers=True)
    if settings.filter_path is not None:
        config = pack(_module(settings, '{"mode":"downstream"}'))
        filters.append(HttpFilter(name=FILTER, typed_config=config, disabled=True))
        router.dynamic_stats.value = False
    filters.append(HttpFilter(name="envoy.filters.http.router", typed_config=pack(router)))
    return filters


def grpc_filters(settings: EnvoySettings) -> list[HttpFilter]:
    """
    Return the filters of a gRPC cluster: Kiteway's own counts attempts and says "not ready"; without it there are none.

    What it says of a call that may not be repeated is taken off by the filter of the listener: `takes_marks_off`.
    """
    return _upstream_filters(settings, "upstream")


def rest_filters(settings: EnvoySettings) -> list[HttpFilter]:
    """Return the filters of a REST cluster: Kiteway's own counts attempts; without it there are none."""
    return _upstream_filters(settings, "rest-upstream")


def _upstream_filters(settings: EnvoySettings, mode: str) -> list[HttpFilter]:
    if settings.filter_path is None:
        return []
    return [
        HttpFilter(name=FILTER, typed_config=pack(_module(settings, f'{{"mode":"{mode}"}}'))),
        HttpFilter(name="envoy.filters.http.upstream_codec", typed_config=pack(UpstreamCodec())),
    ]


def takes_marks_off(route: Route, settings: EnvoySettings) -> None:
    """Turn the filter of the listener on for a route."""
    if settings.filter_path is not None and FILTER not in route.typed_per_filter_config:
        route.typed_per_filter_config[FILTER].CopyFrom(pack(_ON))


def route_answer(settings: EnvoySettings, text: str) -> Any:
    """Return the configuration of a route on which the filter answers `Connect` with ``text``."""
    if '"' in text or "\\" in text:
        raise ValueError(f"the filter reads no escapes: {text}")
    return _of_route(settings, f'{{"answer":"{text}"}}')


def route_log_rate(settings: EnvoySettings, rate: float) -> Any:
    """Return the configuration of a route of whose requests the filter leaves all but a share out of the log."""
    return _of_route(settings, f'{{"log_rate":"{rate:f}"}}')


def _of_route(settings: EnvoySettings, config: str) -> Any:
    return pack(
        DynamicModuleFilterPerRoute(
            dynamic_module_config=_loaded(settings),
            filter_name=FILTER,
            filter_config=pack(StringValue(value=config)),
        )
    )


def _module(settings: EnvoySettings, config: str) -> DynamicModuleFilter:
    return DynamicModuleFilter(
        dynamic_module_config=_loaded(settings),
        filter_name=FILTER,
        filter_config=pack(StringValue(value=config)),
    )


def _loaded(settings: EnvoySettings) -> DynamicModuleConfig:
    return DynamicModuleConfig(
        name="kiteway_filter",
        metrics_namespace="kiteway",
        module=AsyncDataSource(local=DataSource(filename=str(settings.filter_path))),
        # The store of the cache to come lives as long as the process.
        do_not_close=True,
    )
