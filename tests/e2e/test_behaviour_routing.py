"""Hosts and paths of an Ingress, by requests through a real Envoy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import grpc
import pytest

from kiteway.diagnostics import Severity
from tests.e2e.behaviour import World, world
from tests.e2e.traffic import SEARCH, SERVICE
from tests.support.manifests import Manifest, ingress, path, rule, service

pytestmark = pytest.mark.e2e

HOST = "my-release.milvus.io"


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[World]:
    """Return a running Envoy without any configuration yet."""
    with world(tmp_path_factory.mktemp("e"), free_port) as running:
        yield running


def services(envoy: World, *names: str, namespace: str = "default") -> list[Manifest]:
    """Return Services that have one backend each, of the same name."""
    found: list[Manifest] = []
    for name in names:
        found.append(service(name, namespace, rest_port=envoy.rest_port))
        found.append(envoy.endpoints(name, f"{namespace}/{name}", namespace=namespace))
    return found


def code(envoy: World, host: str, method: str = SEARCH) -> tuple[grpc.StatusCode, str]:
    """Return how a gRPC call ends that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        envoy.call(host, method)
    return caught.value.code(), caught.value.details() or ""


PATHS = [
    ("/foo", "default/foo"),
    ("/foo/", "default/foo"),
    ("/foo/below", "default/foo"),
    ("/foo?query=1", "default/foo"),
    ("/foobar", "default/milvus"),
    ("/foo/exact", "default/exact"),
    ("/foo/exact?query=1", "default/exact"),
    ("/foo/exact/below", "default/foo"),
    ("/foo/longer/below", "default/longer"),
    ("/star/below", "default/star"),
    ("/star/", "default/star"),
    ("/star", "default/milvus"),
    ("/passed", "default/passed"),
    ("/passed/below", "default/milvus"),
    ("/FOO", "default/milvus"),
]


@pytest.fixture
def paths(envoy: World) -> World:
    """Put an Ingress in force that has a path of every type."""
    envoy.apply(
        ingress(
            rule(
                HOST,
                path(),
                path("/foo/", "foo"),
                path("/foo/exact", "exact", "Exact"),
                path("/foo/longer", "longer"),
                path("/star/*", "star", "ImplementationSpecific"),
                path("/passed", "passed", "ImplementationSpecific"),
            )
        ),
        *services(envoy, "milvus", "foo", "exact", "longer", "star", "passed"),
    )
    return envoy


def test_paths_match_as_in_a_url_map(paths: World) -> None:
    """
    Prefix matches by element, Exact exactly, /* of ImplementationSpecific everything below; the longest path
    wins.
    """
    assert [(asked, paths.rest(HOST, asked).name) for asked, _ in PATHS] == PATHS


def test_grpc_and_rest_of_one_path_go_to_their_own_ports(paths: World) -> None:
    """A gRPC call reaches the Service's port, everything else the REST port of the same endpoint."""
    assert paths.call(HOST)["name"] == "default/milvus"
    assert paths.call(HOST, "/foo/Call")["name"] == "default/foo"
    assert paths.rest(HOST, SEARCH, method="POST").name == "default/milvus"


def test_the_port_in_the_host_header_does_not_matter(paths: World) -> None:
    """A host matches with any port in the host header."""
    assert paths.rest(f"{HOST}:8443").name == "default/milvus"
    assert paths.rest(HOST.upper()).name == "default/milvus"


def test_an_exact_grpc_method(envoy: World) -> None:
    """An Exact path with a method matches this method and no other."""
    envoy.apply(ingress(rule(HOST, path(SEARCH, kind="Exact"))), *services(envoy, "milvus"))
    assert envoy.call(HOST)["name"] == "default/milvus"
    status, text = code(envoy, HOST, f"{SERVICE}/Query")
    assert status is grpc.StatusCode.PERMISSION_DENIED
    assert "no route" in text


def test_nothing_matches(envoy: World) -> None:
    """A gRPC client gets a sentence that says what is wrong, an HTTP client 404 and JSON; no text has an address."""
    envoy.apply(ingress(rule(HOST, path("/v1"))), *services(envoy, "milvus"))
    status, text = code(envoy, HOST)
    assert (status, "pathType Prefix" in text) == (grpc.StatusCode.PERMISSION_DENIED, True)
    status, text = code(envoy, "other.example.com")
    assert (status, "no Ingress routes the host other.example.com" in text) == (grpc.StatusCode.PERMISSION_DENIED, True)
    answer = envoy.rest("other.example.com")
    assert (answer.status, answer.body["code"]) == (404, 404)
    assert "127.0" not in answer.body["message"].replace("kiteway:", "")


def test_a_default_backend_gets_unmatched_requests(envoy: World) -> None:
    """An Ingress's default backend gets unmatched paths of the Ingress's own host and all other hosts."""
    envoy.apply(ingress(rule(HOST, path("/foo", "foo")), default="milvus"), *services(envoy, "milvus", "foo"))
    assert envoy.rest(HOST, "/foo").name == "default/foo"
    assert envoy.rest(HOST, "/other").name == "default/milvus"
    assert envoy.rest("unknown.example.com", "/foo").name == "default/milvus"
    assert envoy.call("unknown.example.com")["name"] == "default/milvus"


def test_two_default_backends(envoy: World) -> None:
    """Unknown hosts go to the oldest Ingress's default backend, an Ingress's own hosts to its own."""
    envoy.apply(
        ingress(rule("a.example.com", path("/a", "a")), name="a", default="a", created="2026-01-02T00:00:00Z"),
        ingress(rule("b.example.com", path("/b", "b")), name="b", default="b", created="2026-01-01T00:00:00Z"),
        *services(envoy, "a", "b"),
    )
    assert envoy.rest("a.example.com", "/other").name == "default/a"
    assert envoy.rest("b.example.com", "/other").name == "default/b"
    assert envoy.rest("unknown.example.com").name == "default/b"


def test_a_rule_without_host(envoy: World) -> None:
    """A rule without a host serves every host that no other rule names."""
    envoy.apply(ingress(rule(None), rule("a.example.com", path("/", "a"))), *services(envoy, "milvus", "a"))
    assert envoy.rest("a.example.com").name == "default/a"
    assert envoy.rest("b.example.com").name == "default/milvus"


def test_wildcards(envoy: World) -> None:
    """A wildcard matches one label, an exact name has priority, and the longest matching wildcard wins."""
    envoy.apply(
        ingress(
            rule("*.example.com", path("/", "wild")),
            rule("a.example.com", path("/", "a")),
            rule("*.eu.example.com", path("/", "eu")),
        ),
        *services(envoy, "wild", "a", "eu"),
    )
    assert envoy.rest("b.example.com").name == "default/wild"
    assert envoy.rest("eu.example.com").name == "default/wild"
    assert envoy.rest("a.example.com").name == "default/a"
    assert envoy.rest("x.eu.example.com").name == "default/eu"
    assert envoy.rest("x.y.example.com").status == 404
    assert envoy.rest("x.y.example.com:8443").status == 404
    assert envoy.rest("example.com").status == 404


def test_below_a_wildcard_unknown_names_are_unknown(envoy: World) -> None:
    """Names below a wildcard that it does not match are answered as unknown, also beside a rule for all hosts."""
    envoy.apply(
        ingress(rule("*.example.com", path("/", "wild")), rule(None, path("/", "any"))), *services(envoy, "wild", "any")
    )
    assert envoy.rest("x.example.com").name == "default/wild"
    assert envoy.rest("x.y.example.com").status == 404
    assert envoy.rest("elsewhere.example.org").name == "default/any"


def test_the_oldest_ingress_keeps_its_host(envoy: World) -> None:
    """A host that two Ingresses claim goes to the older; it gets none of the newer one's paths."""
    diagnostics = envoy.apply(
        ingress(rule(HOST, path("/", "a")), name="old", namespace="one", created="2026-01-01T00:00:00Z"),
        ingress(rule(HOST, path("/secret", "b")), name="new", namespace="two", created="2026-01-02T00:00:00Z"),
        *services(envoy, "a", namespace="one"),
        *services(envoy, "b", namespace="two"),
    )
    assert envoy.rest(HOST).name == "one/a"
    assert envoy.rest(HOST, "/secret").name == "one/a"
    assert [d.reason for d in diagnostics if d.severity is Severity.ERROR] == ["HostConflict"]


def test_a_wildcard_takes_no_foreign_host(envoy: World) -> None:
    """A wildcard or default backend of one namespace gets no request for a host of another, matched path or not."""
    envoy.apply(
        ingress(
            rule("victim.example.com", path("/only", "v")), name="v", namespace="v", created="2026-01-01T00:00:00Z"
        ),
        ingress(rule("*.example.com", path("/", "a")), name="a", namespace="a", default="a"),
        *services(envoy, "v", namespace="v"),
        *services(envoy, "a", namespace="a"),
    )
    assert envoy.rest("victim.example.com", "/only").name == "v/v"
    assert envoy.rest("victim.example.com", "/other").status == 404
    assert envoy.rest("x.example.com").name == "a/a"


def test_no_name_is_carved_out_of_a_foreign_wildcard(envoy: World) -> None:
    """A newer Ingress of another namespace gets no request for a name that an older wildcard covers."""
    envoy.apply(
        ingress(rule("*.example.com", path("/", "v")), name="v", namespace="v", created="2026-01-01T00:00:00Z"),
        ingress(rule("login.example.com", path("/", "a")), name="a", namespace="a", created="2026-01-02T00:00:00Z"),
        *services(envoy, "v", namespace="v"),
        *services(envoy, "a", namespace="a"),
    )
    assert envoy.rest("login.example.com").name == "v/v"


def test_services_of_one_name_in_two_namespaces(envoy: World) -> None:
    """Each Ingress reaches the Service of its own namespace."""
    envoy.apply(
        ingress(rule("a.example.com"), namespace="a"),
        ingress(rule("b.example.com"), namespace="b"),
        *services(envoy, "milvus", namespace="a"),
        *services(envoy, "milvus", namespace="b"),
    )
    assert envoy.call("a.example.com")["name"] == "a/milvus"
    assert envoy.call("b.example.com")["name"] == "b/milvus"


def test_a_missing_service_takes_nothing_else_down(envoy: World) -> None:
    """A path without a Service answers with the reason; the other path and the other Ingress are served."""
    envoy.apply(
        ingress(rule(HOST, path("/", "milvus"), path("/gone", "gone")), name="bad"),
        ingress(rule("good.example.com"), name="good"),
        *services(envoy, "milvus"),
    )
    assert envoy.rest(HOST, "/gone").status == 503
    assert code(envoy, HOST, "/gone/Call")[0] is grpc.StatusCode.PERMISSION_DENIED
    assert envoy.rest(HOST).name == "default/milvus"
    assert envoy.rest("good.example.com").name == "default/milvus"
