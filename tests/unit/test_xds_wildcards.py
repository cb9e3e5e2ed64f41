"""Wildcard hosts match names of one label; the cost of other names."""

from __future__ import annotations

from kiteway._proto.envoy.config.route.v3.route_components_pb2 import VirtualHost
from kiteway._proto.envoy.config.route.v3.route_pb2 import RouteConfiguration
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.build import build
from kiteway.model import VirtualHost as Host
from tests.e2e.traffic import host, model, route


def _wildcard(*hosts: Host) -> VirtualHost:
    """Return the virtual host in plaintext of ``*.example.com``, beside ``hosts``."""
    messages = build(model(None, host("*.example.com"), *hosts), EnvoySettings())
    (table,) = [m for m in messages if isinstance(m, RouteConfiguration) and m.name == "http"]
    return next(one for one in table.virtual_hosts if one.domains == ["*.example.com"])


def test_a_wildcard_costs_the_same_whatever_others_have() -> None:
    """No route of a rule for all hosts is copied to each wildcard: a hundred of both made a table of a gigabyte."""
    anywhere = host("*", *(route(f"/{number}/x") for number in range(50)))
    assert len(_wildcard(anywhere).routes) == len(_wildcard().routes)
