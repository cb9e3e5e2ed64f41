"""Wildcard hosts match names of one label; the cost of other names."""

from __future__ import annotations

import dataclasses

import pytest

from kiteway._proto.envoy.config.route.v3.route_components_pb2 import VirtualHost
from kiteway._proto.envoy.config.route.v3.route_pb2 import RouteConfiguration
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.build import build
from kiteway.model import PoolKey
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


@pytest.mark.parametrize("named", ["a.example.com", "b.example.com"], ids=["beside the host", "with a host of its own"])
def test_a_challenge_takes_no_name_from_the_plaintext_grpc_port(named: str) -> None:
    """One pool serves every name there, also while cert-manager's solver of a certificate has its own pool."""
    challenge = dataclasses.replace(
        route("/.well-known/acme-challenge/t", key=PoolKey("other", "solver", 8089)), challenge=True
    )
    own = [route()] if named == "a.example.com" else []
    hosts = [host("a.example.com"), host("b.example.com")]
    hosts = [host(named, challenge, *own) if each.domain == named else each for each in hosts]
    messages = build(model(None, *hosts), EnvoySettings(grpc_port=19530))

    (table,) = [m for m in messages if isinstance(m, RouteConfiguration) and m.name == "grpc"]
    (rest,) = [each for each in table.virtual_hosts if each.domains == ["*"]]
    paths = {one.match.prefix or one.match.path_separated_prefix for one in rest.routes}
    assert rest.name != "unknown-host"
    assert "/.well-known/acme-challenge/t" not in paths
