"""Properties of the translation for any input."""

from __future__ import annotations

import copy
import datetime as dt
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import hypothesis.strategies as st
from google.protobuf.message import Message
from hypothesis import given
from hypothesis.strategies import DrawFn, SearchStrategy

from kiteway._proto.envoy.config.listener.v3.listener_pb2 import Listener
from kiteway._proto.envoy.config.route.v3.route_pb2 import RouteConfiguration
from kiteway.certificates.create import create_self_signed
from kiteway.envoy.ads import LISTENER, ROUTE, Resource, Snapshot
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.build import build, build_endpoints
from kiteway.resources import Loaded, Object, load_documents, load_object
from kiteway.resources import annotations as keys
from kiteway.translate import Endpoints, Options, Result, translate
from tests.support.examples import examples
from tests.support.manifests import (
    Manifest,
    backend_config,
    endpoint_slice,
    frontend_config,
    ingress,
    milvus_policy,
    path,
    rule,
    secret,
    service,
    text,
)

NOW = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
NAMESPACES = ("one", "two")
NAMES = ("a", "b")
HOSTS = ("a.example.com", "b.example.com", "*.example.com", "x.eu.example.com", "*.eu.example.com", None)
PAIRS = {name: create_self_signed([name]) for name in ("a.example.com", "*.example.com", "x.eu.example.com")}


def loaded(manifests: Iterable[Manifest]) -> tuple[list[Object], list[Loaded]]:
    """Read manifests as the Kubernetes API gives them."""
    found = [load_object(copy.deepcopy(dict(manifest))) for manifest in manifests]
    return [object_ for one in found for object_ in one.objects], found


def translated(manifests: Sequence[Manifest]) -> tuple[Result, Snapshot]:
    """Translate manifests all the way to xDS."""
    result, messages = built(manifests)
    return result, Snapshot.of(messages)


def built(manifests: Sequence[Manifest]) -> tuple[Result, list[Message]]:
    """Translate manifests, and build the xDS messages."""
    objects, found = loaded(manifests)
    result = translate(objects, Options(), NOW, [ref for one in found for ref in one.refused])
    table = Endpoints(objects).table(result.model.pools)
    return result, [*build(result.model, EnvoySettings()), *build_endpoints(result.model.pools, table)]


# Manifests that make sense, in a world so small that they meet.

_names = st.sampled_from(NAMES)
_times = st.none() | st.sampled_from([f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3)])
_paths = st.builds(
    path,
    st.sampled_from(
        ["/", "/a", "/a/", "/a/*", "/*", "", "/milvus.proto.milvus.MilvusService/Search", "x", "/a*b", "/a?b"]
    ),
    _names,
    st.sampled_from(["Prefix", "Exact", "ImplementationSpecific"]),
)
_rules = st.builds(lambda host, paths: rule(host, *paths), st.sampled_from(HOSTS), st.lists(_paths, max_size=3))
_annotation_values = st.sampled_from(
    (
        *(
            "",
            "true",
            "false",
            "no",
            "{}",
            "[]",
            '{"ingress":true}',
            '{"milvus":"HTTP2"}',
            '{"milvus":"H3"}',
            "a",
            "a,b",
        ),
        *('{"default":"a","ports":{"milvus":"b"}}', "gce", "nginx", "kiteway", "8080", "9091", "-1", "\x00", "é" * 10),
    )
)
_annotations = st.dictionaries(
    st.sampled_from(
        [
            keys.ALLOW_HTTP,
            keys.APP_PROTOCOLS,
            keys.APP_PROTOCOLS_ALPHA,
            keys.BACKEND_CONFIG,
            keys.CAPACITY_SCALER,
            keys.FRONTEND_CONFIG,
            keys.GLOBAL_STATIC_IP_NAME,
            keys.INGRESS_CLASS,
            keys.MANAGED_CERTIFICATES,
            keys.NEG,
            keys.PRE_SHARED_CERT,
            keys.REGIONAL_STATIC_IP_NAME,
            keys.REST_PORT,
            keys.TRANSPARENT_HEALTH_CHECKER,
        ]
    ),
    _annotation_values,
    max_size=4,
)


_limits = st.lists(
    st.fixed_dictionaries(
        {"by": st.sampled_from([["user"], ["collection"], ["user", "database"]])},
        # None of them, or none at all, is a mistake.
        optional={"requestsPerSecond": st.integers(0, 3), "inFlight": st.just(3), "names": st.just(["a"])},
    ),
    max_size=2,
)
_policies = st.fixed_dictionaries(
    {},
    optional={
        "limits": _limits,
        "admission": st.fixed_dictionaries(
            {}, optional={"maxConcurrentReads": st.sampled_from([7, "adaptive"]), "maxWait": st.just("2s")}
        ),
        "hedging": st.fixed_dictionaries({"delay": st.sampled_from(["1ms", "2s"])}),
        "allowReplication": st.booleans(),
        "cache": st.fixed_dictionaries(
            {"enabled": st.booleans()},
            optional={
                "stalenessBound": st.sampled_from(["2s", "5s"]),
                "memory": st.sampled_from(["1Mi", "200Mi"]),
                "collections": st.just([{"collection": "a", "enabled": False}]),
            },
        ),
    },
)


@st.composite
def _objects(draw: DrawFn, namespace: str) -> list[Manifest]:
    """Draw what one namespace holds: each kind with each name at most once."""
    found: list[Manifest] = []
    for name in NAMES:
        makers: list[Callable[[], Manifest]] = [
            lambda name=name: ingress(  # type: ignore[misc]
                *draw(st.lists(_rules, max_size=3)),
                name=name,
                namespace=namespace,
                tls=draw(st.lists(_names, max_size=2)),
                default=draw(st.none() | _names),
                created=draw(_times),
            ),
            lambda name=name: service(  # type: ignore[misc]
                name, namespace, protocol=draw(st.sampled_from([None, "HTTP2", "HTTPS"])), backend_config=name
            ),
            lambda name=name: backend_config(  # type: ignore[misc]
                name,
                namespace,
                timeoutSec=draw(st.sampled_from([0, 1, 3600])),
                sessionAffinity={"affinityType": draw(st.sampled_from(["NONE", "CLIENT_IP", "GENERATED_COOKIE"]))},
                customRequestHeaders={"headers": [f"X-A:{draw(st.sampled_from(['{client_port}', '%REQ(a)%', '{']))}"]},
            ),
            lambda name=name: frontend_config(name, namespace, redirectToHttps={"enabled": draw(st.booleans())}),  # type: ignore[misc]
            lambda name=name: secret(name, PAIRS[draw(st.sampled_from(sorted(PAIRS)))], namespace),  # type: ignore[misc]
            lambda name=name: endpoint_slice(  # type: ignore[misc]
                draw(st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2"]), unique=True)), 19530, name, namespace
            ),
            lambda name=name: milvus_policy(  # type: ignore[misc]
                *draw(st.lists(_names, max_size=2, unique=True)),
                name=name,
                namespace=namespace,
                ingresses=draw(st.lists(_names, max_size=2, unique=True)),
                created=draw(_times),
                **draw(_policies),
            ),
        ]
        for make in makers:
            if draw(st.integers(0, 3)):
                manifest = dict(make())
                extra = draw(_annotations) if manifest["kind"] in {"Ingress", "Service"} else {}
                metadata = dict(manifest["metadata"])
                metadata["annotations"] = {**metadata.get("annotations", {}), **extra}
                found.append({**manifest, "metadata": metadata})
    return found


def worlds() -> SearchStrategy[list[Manifest]]:
    """Return sets of manifests of two namespaces."""
    return st.tuples(*(_objects(namespace) for namespace in NAMESPACES)).map(lambda found: [*found[0], *found[1]])


@given(worlds(), st.randoms(use_true_random=False))
@examples(60)
def test_the_order_does_not_matter(manifests: list[Manifest], chance: Any) -> None:
    """The model, the diagnostics and the bytes of the xDS depend on the objects, not on their order."""
    result, snapshot = translated(manifests)
    shuffled = list(manifests)
    chance.shuffle(shuffled)
    other, again = translated(shuffled)
    assert other.model == result.model
    assert other.diagnostics == result.diagnostics
    assert again.diff(snapshot) == {}


STRANGER = [
    # The youngest of all: by its age, which is unknown, and then by its name.
    ingress(rule("stranger.example.org"), namespace="zz", tls=["tls"]),
    service(namespace="zz", backend_config="milvus"),
    backend_config(namespace="zz", timeoutSec=7),
    secret("tls", create_self_signed(["stranger.example.org"]), "zz"),
    endpoint_slice(["10.9.9.9"], 19530, namespace="zz"),
]


@given(worlds())
@examples(60)
def test_an_unrelated_object_changes_nothing_else(manifests: list[Manifest]) -> None:
    """With and without an Ingress of another namespace, the bytes and the diagnostics of all others are the same."""
    before, without = translated(manifests)
    after, having = translated([*manifests, *STRANGER])
    assert [d for d in after.diagnostics if d.object is None or d.object.namespace != "zz"] == list(before.diagnostics)
    for kind, resources in without.items():
        for name in resources:
            if kind not in {LISTENER, ROUTE}:
                assert having[kind][name] == resources[name]
            elif name in having[kind]:
                assert set(_parts(kind, resources[name])) <= set(_parts(kind, having[kind][name]))


def _parts(kind: str, resource: Resource) -> list[bytes]:
    """Return the hosts of a route table, or the filter chains of a listener."""
    if kind == ROUTE:
        return [
            host.SerializeToString(deterministic=True)
            for host in RouteConfiguration.FromString(resource.body).virtual_hosts
        ]
    listener = Listener.FromString(resource.body)
    return [
        chain.SerializeToString(deterministic=True)
        for chain in (*listener.filter_chains, listener.default_filter_chain)
    ]


# Manifests that make no sense: the guide's, with something else at one place.

_GUIDE: list[Manifest] = [
    ingress(rule("my-release.milvus.io", path()), tls=["tls"], frontend="milvus"),
    service(protocol="HTTP2", backend_config="milvus", rest_port=8080),
    backend_config(
        timeoutSec=60,
        connectionDraining={"drainingTimeoutSec": 60},
        sessionAffinity={"affinityType": "CLIENT_IP"},
        customRequestHeaders={"headers": ["X-A:{client_port}"]},
        healthCheck={"type": "HTTP", "port": 9091, "requestPath": "/healthz", "checkIntervalSec": 15},
        logging={"enable": True, "sampleRate": 0.5},
    ),
    frontend_config(redirectToHttps={"enabled": True, "responseCodeName": "FOUND"}, sslPolicy="x"),
    secret("tls", create_self_signed(["my-release.milvus.io"])),
    endpoint_slice(["10.0.0.1", "10.0.0.2"], 19530),
]
_VALUES: SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["*", "/", "/*", "%", "%REQ(a)%", "a\nb", "a\x00b", "*.com", "..", "::1", "{}", "x-envoy-a:1", "/a?b", "/a#b"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=4,
)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += _places(inner, (*at, key))
    return found


@st.composite
def broken_guides(draw: DrawFn) -> list[Manifest]:
    """Draw the guide's manifests with one or two values replaced."""
    # Through JSON, so that no value is shared.
    manifests: list[Any] = json.loads(json.dumps(_GUIDE))
    for _ in range(draw(st.integers(1, 2))):
        *parents, last = draw(st.sampled_from(_places(manifests)))
        place: Any = manifests
        for key in parents:
            place = place[key]
        place[last] = draw(_VALUES)
    return [manifest for manifest in manifests if isinstance(manifest, dict)]


@given(broken_guides())
@examples(150)
def test_no_manifest_makes_it_raise(manifests: list[Manifest]) -> None:
    """For any manifest the result is a model and diagnostics."""
    translated(manifests)


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
@examples(100)
def test_no_file_makes_it_raise(content: bytes) -> None:
    """With any other file beside them, the guide's manifests have the same meaning."""
    whole = load_documents(text(_GUIDE), "guide.yaml")
    other = load_documents(content, "other.yaml")
    result = translate([*whole.objects, *other.objects], Options(), NOW, other.refused)
    assert result.model == translate(whole.objects, Options(), NOW).model
