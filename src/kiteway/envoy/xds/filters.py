"""The HTTP filters of listeners and clusters, in order."""

from __future__ import annotations

import msgspec
from google.protobuf.any_pb2 import Any
from google.protobuf.wrappers_pb2 import StringValue
from msgspec import UNSET, UnsetType

from kiteway._proto.envoy.config.core.v3.base_pb2 import AsyncDataSource, DataSource
from kiteway._proto.envoy.config.route.v3.route_components_pb2 import FilterConfig as PerFilterConfig
from kiteway._proto.envoy.config.route.v3.route_components_pb2 import Route
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
from kiteway.envoy.filter_config import FilterConfig, Mode, RouteConfig
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.common import pack

FILTER = "kiteway"
"""The name of Kiteway's own filter in every chain."""

_ON = PerFilterConfig(config=Any())
"""Enables a filter without a configuration; Envoy refuses one without the field `config`."""

_NO_PARTS = RouteConfig()


def http_filters(settings: EnvoySettings) -> list[HttpFilter]:
    """
    Return the filters of a public listener: Kiteway's own, then the router.

    Kiteway's filter is disabled except on the routes that enable it. With it, the filter in the cluster counts answers by gRPC
    status instead of the router, which would count them by HTTP status at three times the cost.
    """
    filters = []
    router = Router(suppress_envoy_headers=True)
    if settings.filter_path is not None:
        config = pack(_module(settings, _naming(settings, _noting(settings, Mode.DOWNSTREAM))))
        filters.append(HttpFilter(name=FILTER, typed_config=config, disabled=True))
        router.dynamic_stats.value = False
    filters.append(HttpFilter(name="envoy.filters.http.router", typed_config=pack(router)))
    return filters


def grpc_filters(settings: EnvoySettings, cluster: str) -> list[HttpFilter]:
    """
    Return the HTTP filters of the gRPC cluster of this name; none without Kiteway's filter.

    Kiteway's filter counts calls and detects "not ready". It marks the answer of a call that may not be repeated, and the
    filter of the listener removes the mark (`turn_on`).
    """
    return _upstream_filters(settings, _counting(settings, _noting(settings, Mode.UPSTREAM), cluster))


def rest_filters(settings: EnvoySettings, cluster: str) -> list[HttpFilter]:
    """Return the HTTP filters of the REST cluster of this name: Kiteway's filter, which counts calls, or none."""
    config = FilterConfig(Mode.REST_UPSTREAM, trace=settings.otlp is not None)
    return _upstream_filters(settings, _counting(settings, config, cluster))


def report_filters(settings: EnvoySettings) -> list[HttpFilter]:
    """Return the filters of the listener that reports the counts; it exists only with Kiteway's filter."""
    return [
        HttpFilter(name=FILTER, typed_config=pack(_module(settings, FilterConfig(Mode.REPORT)))),
        HttpFilter(name="envoy.filters.http.router", typed_config=pack(Router())),
    ]


def _noting(settings: EnvoySettings, mode: Mode) -> FilterConfig:
    return FilterConfig(mode, log=settings.logs and settings.log_calls, trace=settings.otlp is not None)


def counted_as(settings: EnvoySettings, cluster: str) -> str | UnsetType:
    """Return the name under which calls to a cluster are counted; UNSET if they are not."""
    return UNSET if settings.calls_socket is None else cluster


def _counting(settings: EnvoySettings, config: FilterConfig, cluster: str) -> FilterConfig:
    return _naming(settings, msgspec.structs.replace(config, pool=counted_as(settings, cluster)))


def _naming(settings: EnvoySettings, config: FilterConfig) -> FilterConfig:
    """Add how users are named, if calls are read at all."""
    if settings.calls_socket is None and not config.log and not config.trace:
        return config
    return msgspec.structs.replace(
        config,
        users=settings.log_users,
        user_key=UNSET if settings.user_key is None else str(settings.user_key),
    )


def _upstream_filters(settings: EnvoySettings, config: FilterConfig) -> list[HttpFilter]:
    if settings.filter_path is None:
        return []
    return [
        HttpFilter(name=FILTER, typed_config=pack(_module(settings, config))),
        HttpFilter(name="envoy.filters.http.upstream_codec", typed_config=pack(UpstreamCodec())),
    ]


def turn_on(route: Route, settings: EnvoySettings, config: RouteConfig = _NO_PARTS) -> None:
    """
    Enable the filter of the listener for a route, with the route's configuration.

    Without parts it only removes the marks of the filter in the cluster. Does nothing if there is no filter.
    """
    if settings.filter_path is None:
        return
    packed = pack(_ON if config == _NO_PARTS else _of_route(settings, config))
    route.typed_per_filter_config[FILTER].CopyFrom(packed)


def _of_route(settings: EnvoySettings, config: RouteConfig) -> DynamicModuleFilterPerRoute:
    return DynamicModuleFilterPerRoute(
        dynamic_module_config=_loaded(settings),
        filter_name=FILTER,
        filter_config=pack(StringValue(value=config.json())),
    )


def _module(settings: EnvoySettings, config: FilterConfig) -> DynamicModuleFilter:
    return DynamicModuleFilter(
        dynamic_module_config=_loaded(settings),
        filter_name=FILTER,
        filter_config=pack(StringValue(value=config.json())),
    )


def _loaded(settings: EnvoySettings) -> DynamicModuleConfig:
    return DynamicModuleConfig(
        name="kiteway_filter",
        metrics_namespace="kiteway",
        module=AsyncDataSource(local=DataSource(filename=str(settings.filter_path))),
        # The state of the filter, such as its counters, lives as long as the process.
        do_not_close=True,
    )
