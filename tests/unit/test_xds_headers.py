"""Where custom headers are: at the virtual host if all its routes have them, else at the routes."""

from __future__ import annotations

from typing import Any

import pytest

from kiteway._proto.envoy.config.route.v3.route_components_pb2 import VirtualHost
from kiteway._proto.envoy.config.route.v3.route_pb2 import RouteConfiguration
from kiteway.envoy.xds.challenges import with_challenges
from kiteway.envoy.xds.common import HTTP_LISTENER
from kiteway.model import HTTPChallenge
from tests.golden.inputs import translate_text
from tests.support.ingresses import PORT, ingress, service, text

HOST = "a.example.com"
SAME = ["x-request:1"], ["x-response:1"]


def _service(name: str, *, rest: bool = True) -> dict[str, Any]:
    notes = {"cloud.google.com/backend-config": f'{{"default": "{name}"}}'}
    return service(name=name, annotations=notes | ({"kiteway.io/rest-port": "8080"} if rest else {}))


def _config(name: str, request: list[str], response: list[str]) -> dict[str, Any]:
    spec = {"customRequestHeaders": {"headers": request}, "customResponseHeaders": {"headers": response}}
    return {"apiVersion": "cloud.google.com/v1", "kind": "BackendConfig", "metadata": {"name": name}, "spec": spec}


def _host(paths: dict[str, str], *documents: dict[str, Any], host: str = HOST) -> VirtualHost:
    """Return the virtual host in plaintext of an Ingress with Services by path."""
    rules = [
        {"path": path, "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"number": PORT}}}}
        for path, name in paths.items()
    ]
    found = ingress("a", [host], [], annotations={"kubernetes.io/ingress.allow-http": "true"})
    found["spec"]["rules"][0]["http"]["paths"] = rules
    messages = translate_text(text(found, *documents), "test.yaml").messages
    (table,) = [m for m in messages if isinstance(m, RouteConfiguration) and m.name == HTTP_LISTENER]
    return next(one for one in table.virtual_hosts if one.domains == [host])


def _at_host(host: VirtualHost) -> tuple[list[str], list[str]]:
    return [o.header.key for o in host.request_headers_to_add], [o.header.key for o in host.response_headers_to_add]


def _at_routes(host: VirtualHost) -> set[tuple[str, ...]]:
    """Return the headers of each route that forwards."""
    return {
        tuple(o.header.key for o in (*route.request_headers_to_add, *route.response_headers_to_add))
        for route in host.routes
        if route.HasField("route")
    }


def test_headers_that_all_routes_have() -> None:
    """Headers common to all paths of a host are in Envoy's configuration once."""
    host = _host(
        {"/": "one", "/two": "two"}, *map(_service, ("one", "two")), _config("one", *SAME), _config("two", *SAME)
    )

    assert _at_host(host) == (["x-request"], ["x-response"])
    assert _at_routes(host) == {()}


def test_headers_that_differ() -> None:
    """Headers belong to the backend: if two paths have different ones, each has its own."""
    other = _config("two", ["x-request:2"], ["x-response:2"])
    host = _host({"/": "one", "/two": "two"}, *map(_service, ("one", "two")), _config("one", *SAME), other)

    assert _at_host(host) == ([], [])
    assert _at_routes(host) == {("x-request", "x-response")}


@pytest.mark.parametrize(
    ("paths", "rest"), [({"/": "one"}, False), ({"/one": "one"}, True)], ids=["no REST", "not every path"]
)
def test_what_kiteway_answers_has_no_headers_of_a_backend(paths: dict[str, str], rest: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """If Kiteway may answer itself, response headers stay at the routes to backends."""
    host = _host(paths, _service("one", rest=rest), _config("one", *SAME))

    assert _at_host(host) == (["x-request"], [])
    assert _at_routes(host) == {("x-response",)}


def test_a_host_that_stands_for_others() -> None:
    """A wildcard's virtual host also answers unknown deeper names, so its headers stay at its routes."""
    host = _host({"/": "one"}, _service("one"), _config("one", *SAME), host="*.example.com")

    assert _at_host(host) == ([], [])
    assert _at_routes(host) == {("x-request", "x-response")}


def test_a_host_with_an_acme_challenge() -> None:
    """The routes beside a challenge keep their headers."""
    host = _host({"/": "one"}, _service("one"), _config("one", *SAME))

    (challenged,) = with_challenges((host,), (HTTPChallenge(HOST, "token", "token.key"),))

    assert _at_host(challenged) == (["x-request"], ["x-response"])
