"""The HTTP filter chain, in its one order."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any
from google.protobuf.wrappers_pb2 import StringValue

from kiteway._proto.envoy.config.core.v3.base_pb2 import AsyncDataSource, DataSource
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


def http_filters(settings: EnvoySettings) -> list[HttpFilter]:
    """Return the filters of a public listener: Kiteway's own, then the router."""
    filters = []
    if settings.filter_path is not None:
        filters.append(HttpFilter(name=FILTER, typed_config=pack(_module(settings, '{"mode":"downstream"}'))))
    router = Router(suppress_envoy_headers=True)
    filters.append(HttpFilter(name="envoy.filters.http.router", typed_config=pack(router)))
    return filters


def upstream_filters(settings: EnvoySettings, *, hedged: bool) -> list[HttpFilter]:
    """
    Return the filters of a gRPC cluster: Kiteway's own says "not ready" per attempt; without it there are none.

    What it marks, the filter of the listener takes off again: the two are configured together. It must be told where
    reads are ``hedged``.
    """
    if settings.filter_path is None:
        return []
    mode = "hedged-upstream" if hedged else "upstream"
    return [
        HttpFilter(name=FILTER, typed_config=pack(_module(settings, f'{{"mode":"{mode}"}}'))),
        HttpFilter(name="envoy.filters.http.upstream_codec", typed_config=pack(UpstreamCodec())),
    ]


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
