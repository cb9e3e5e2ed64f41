"""The caches that MilvusPolicies turn on: which pools have one, and what each route tells the filter."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kiteway.cli.policy_show import policy_rows
from kiteway.envoy.filter_config import CacheConfig, RouteConfig
from kiteway.model import Cache, LoadBalancer, PoolKey
from kiteway.resources import load_documents
from kiteway.status.policy import policy_report
from kiteway.translate import Options, Result, Translator
from kiteway.translate.shared.limits import NamespaceLimits
from tests.support.examples import examples
from tests.support.manifests import Manifest, ingress, milvus_policy, path, rule, service, text
from tests.unit.test_resources_properties import mutated
from tests.unit.test_translate_policy import BASE, NOW, Rounds, for_filter, limit, reasons

EXAMPLE = yaml.safe_load((Path(__file__).parents[2] / "examples" / "milvuspolicy-cache.yaml").read_text())
ON = {"enabled": True}


def caches(result: Result) -> dict[str, Cache | None]:
    """Return the cache of each pool."""
    return {str(pool.key): pool.cache for pool in result.model.pools}


def parts(model: LoadBalancer) -> list[dict[str, Any]]:
    """Return the different parts `cache` of all routes."""
    configs = [json.loads(config) for config in for_filter(model)]
    return [config["cache"] for config in configs if "cache" in config]


def test_a_cache_has_the_bounds_of_milvus_by_default() -> None:
    """The defaults are those of docs/design/cache.md."""
    (cache,) = caches(Rounds()(*BASE, milvus_policy("milvus", cache=ON))).values()

    assert cache is not None
    assert (cache.staleness_bound, cache.eventual_bound, cache.fill_lag, cache.max_wait) == (5.0, 5.0, 1.0, 3.0)
    assert (cache.memory, cache.max_entry_bytes, cache.collections) == (64 << 20, 1 << 20, ())


@pytest.mark.parametrize(
    ("of_cache", "of_collection", "expected"),
    [
        ({}, {}, (5.0, 5.0)),
        ({"stalenessBound": "4s"}, {}, (4.0, 4.0)),
        ({"stalenessBound": "4s"}, {"stalenessBound": "2s"}, (2.0, 2.0)),
        ({"eventualBound": "1m"}, {"stalenessBound": "2s"}, (2.0, 60.0)),
        ({"eventualBound": "1m"}, {"eventualBound": "1h"}, (5.0, 3600.0)),
    ],
)
def test_a_collection_has_the_bounds_of_the_cache_where_it_sets_none(
    of_cache: dict[str, str], of_collection: dict[str, str], expected: tuple[float, float]
) -> None:
    """The bound of Eventually follows the other one until it is set."""
    policy = milvus_policy("milvus", cache={**ON, **of_cache, "collections": [{"collection": "a", **of_collection}]})
    (cache,) = caches(Rounds()(*BASE, policy)).values()

    assert cache is not None
    (found,) = cache.collections
    assert (found.database, found.collection, found.enabled) == ("default", "a", True)
    assert (found.staleness_bound, found.eventual_bound) == expected


def test_every_route_to_the_pool_tells_the_filter_of_the_cache() -> None:
    """Reads are answered on routes for gRPC alone; the others have the part because they change collections too."""
    routes = ingress(rule("a.example.com", path("/a"), path("/b", "other")))
    model = Rounds()(routes, service(), service("other"), milvus_policy("milvus", cache=ON)).model
    grpc, without = sorted(parts(model), key=lambda part: "reads" not in part)

    common = {
        "pool": "default/milvus/19530",
        "bound_ms": 5000,
        "eventual_bound_ms": 5000,
        "fill_lag_ms": 1000,
        "max_wait_ms": 3000,
        "memory": 64 << 20,
        "max_entry_bytes": 1 << 20,
        "epoch": 0,
    }
    assert grpc == {**common, "cluster": "pool/default/milvus/19530/grpc", "reads": True}
    assert without == common


def test_the_filter_knows_when_envoy_hedges_a_read() -> None:
    """It asks Envoy to hedge its own reads no later."""
    policy = milvus_policy("milvus", cache=ON, hedging={"delay": "20ms"})
    found = parts(Rounds()(ingress(rule("a.example.com", path("/"))), service(), policy).model)

    assert {part.get("hedge_ms") for part in found if "reads" in part} == {20}
    assert not [part for part in found if "reads" not in part and "hedge_ms" in part]


def test_each_port_of_the_service_has_a_cache_of_its_own() -> None:
    """A pool is a port: the memory is counted for each."""
    ports = [{"name": "milvus", "port": 19530}, {"name": "second", "port": 19531}]
    two = {**service(), "spec": {"ports": ports}}
    second = {**path("/b"), "backend": {"service": {"name": "milvus", "port": {"number": 19531}}}}
    routes = ingress(rule("a.example.com", path("/a"), second))
    found = caches(Rounds()(routes, two, milvus_policy("milvus", cache=ON)))

    assert set(found) == {"default/milvus/19530", "default/milvus/19531"}
    assert None not in found.values()


def test_without_a_part_or_with_a_part_that_says_so_it_is_off() -> None:
    """The other parts of the policy are in force all the same."""
    for off in (None, {"enabled": False}):
        result = Rounds()(*BASE, milvus_policy("milvus", limits=[limit(1)], cache=off))
        assert caches(result) == {"default/milvus/19530": None}
        assert len(result.model.hosts[0].routes[0].policy.limits) == 1
        assert parts(result.model) == []


def test_an_ingress_that_keeps_its_last_form_has_the_cache_of_today() -> None:
    """Its calls change collections as those of any other: unseen, they would leave answers in the cache."""
    rounds = Rounds()
    rounds(*BASE)
    broken = ingress(rule("a.example.com", path("/", "missing")))
    result = rounds(broken, service(), milvus_policy("milvus", cache=ON))

    assert result.retained
    assert len(parts(result.model)) == 2
    gone = rounds(broken, service())
    assert parts(gone.model) == []


def test_a_mistake_in_a_policy_keeps_its_cache() -> None:
    """It keeps its last good form as a whole."""
    rounds = Rounds()
    good = rounds(*BASE, milvus_policy("milvus", cache=ON))
    bad = rounds(*BASE, milvus_policy("milvus", cache={**ON, "stalenessBound": "1m"}))

    assert bad.model == good.model
    assert bad.model.pools[0] is good.model.pools[0]


def test_a_pool_is_the_same_object_while_its_cache_is_unchanged() -> None:
    """Else each round would build its clusters and routes again."""
    rounds = Rounds()
    before = rounds(*BASE, milvus_policy("milvus", cache=ON))
    again = rounds(*BASE, milvus_policy("milvus", cache=ON))
    other = rounds(*BASE, milvus_policy("milvus", cache={**ON, "fillLag": "2s"}))

    assert again.model.pools[0] is before.model.pools[0]
    assert other.model.pools[0] is not before.model.pools[0]


def test_the_caches_of_a_namespace_have_bounded_memory() -> None:
    """The oldest policy keeps its cache; the other is told, and its calls are served without one."""
    rounds = Rounds(namespace_limits=NamespaceLimits(cache=100 << 20))
    objects = [ingress(rule("a.example.com", path("/a"), path("/b", "other"))), service(), service("other")]
    young = milvus_policy("milvus", name="a", created="2026-02-01T00:00:00Z", cache=ON)
    old = milvus_policy("other", name="b", created="2026-01-01T00:00:00Z", cache=ON)
    result = rounds(*objects, young, old)

    found = caches(result)
    assert found["default/milvus/19530"] is None
    assert found["default/other/19530"] is not None
    (told,) = [d for d in result.diagnostics if d.reason == "CacheMemoryTooMuch"]
    assert told.object is not None
    assert told.object.name == "a"
    assert "--namespace-limit cache=134217728" in str(told)
    assert result.model.hosts[0].routes[0].pool == PoolKey("default", "milvus", 19530)
    small = milvus_policy("milvus", name="a", created="2026-02-01T00:00:00Z", cache={**ON, "memory": "32Mi"})
    assert None not in caches(rounds(*objects, small, old)).values()


def test_the_caches_of_all_namespaces_have_bounded_memory_together() -> None:
    """Many namespaces that each keep their own limit must not fill the container: the oldest policies keep theirs."""
    names = ("a", "b", "c")
    objects = [each for name in names for each in _in_namespace(name)]
    ages = {"a": "2026-03-01T00:00:00Z", "b": "2026-01-01T00:00:00Z", "c": "2026-02-01T00:00:00Z"}
    policies = [milvus_policy("milvus", name="p", namespace=n, created=ages[n], cache=ON) for n in names]
    result = Rounds(cache_memory=128 << 20)(*objects, *policies)

    assert {name for name, cache in caches(result).items() if cache is not None} == {"b/milvus/19530", "c/milvus/19530"}
    (told,) = [d for d in result.diagnostics if d.reason == "CacheMemoryTooMuch"]
    assert str(told.object) == "MilvusPolicy a/p"
    assert "134217728" in told.message
    assert "--cache-memory" in told.fix


def _in_namespace(name: str) -> list[Manifest]:
    return [ingress(rule(f"{name}.example.com", path("/")), namespace=name), service(namespace=name)]


def test_with_the_option_cache_every_pool_has_one_of_which_no_policy_says_anything() -> None:
    """A policy that says so turns it off, and one with other settings has them."""
    rounds = Rounds(cache_by_default=True)
    objects = [ingress(rule("a.example.com", path("/a"), path("/b", "other"))), service(), service("other")]
    limits = milvus_policy("other", limits=[limit(1)])
    both = caches(rounds(*objects, limits))
    off = caches(rounds(*objects, milvus_policy("milvus", cache={"enabled": False})))
    own = caches(rounds(*objects, milvus_policy("milvus", cache={**ON, "fillLag": "2s"})))

    assert [each.fill_lag if each else None for each in both.values()] == [1.0, 1.0]
    assert [each.fill_lag if each else None for each in off.values()] == [None, 1.0]
    assert [each.fill_lag if each else None for each in own.values()] == [2.0, 1.0]


def test_with_the_option_cache_the_memory_is_bounded_too() -> None:
    """What policies ask for comes first; the Service of the other cache is named."""
    rounds = Rounds(cache_by_default=True, namespace_limits=NamespaceLimits(cache=100 << 20))
    objects = [ingress(rule("a.example.com", path("/a"), path("/b", "other"))), service(), service("other")]
    result = rounds(*objects, milvus_policy("other", cache=ON))

    assert [each is not None for each in caches(result).values()] == [False, True]
    (told,) = [d for d in result.diagnostics if d.reason == "CacheMemoryTooMuch"]
    assert str(told.object) == "Service default/milvus"


def test_without_the_filter_the_policy_is_said_to_have_no_effect() -> None:
    """Only if its cache is on."""
    rounds = Rounds(with_filter=False)

    assert reasons(rounds(*BASE, milvus_policy("milvus", cache=ON))) == ["PolicyWithoutFilter"]
    assert reasons(rounds(*BASE, milvus_policy("milvus", cache={"enabled": False}))) == []


def test_names_of_collections_count_as_copies_of_the_policy() -> None:
    """Each route of Envoy has them, as it has the names in limits."""
    names = [{"collection": f"{number:0255}"} for number in range(64)]
    policy = milvus_policy("milvus", cache={**ON, "collections": names})
    few = Rounds()(ingress(rule("a.example.com", path("/"))), service(), policy)
    many = Rounds()(ingress(rule("a.example.com", *(path(f"/{n}") for n in range(300)))), service(), policy)

    assert reasons(few) == []
    assert reasons(many) == ["PolicyCopiesTooMany"]
    size = few.model.hosts[0].routes[0].policy.size
    assert max(len(json.dumps(part)) for part in parts(few.model)) <= size


def test_plan_shows_each_value_and_where_it_comes_from() -> None:
    """A default is said to be one."""
    cache = {**ON, "fillLag": "500ms", "collections": [{"collection": "a", "enabled": False}, {"collection": "b"}]}
    result = Rounds()(*BASE, milvus_policy("milvus", cache=cache))
    report = policy_report(result.model.hosts[0].routes[0].policy)

    assert report is not None
    assert policy_rows(report) == [
        ("cache.enabled", "true", "default/policy"),
        ("cache.stalenessBound", "5s", "default"),
        ("cache.eventualBound", "5s", "default"),
        ("cache.fillLag", "0.5s", "default/policy"),
        ("cache.maxWait", "3s", "default"),
        ("cache.memory", "67108864", "default"),
        ("cache.maxEntryBytes", "1048576", "default"),
        ("cache.collections", "default/a: off", "default/policy"),
        ("cache.collections", "default/b: stalenessBound 5s, eventualBound 5s", "default/policy"),
    ]


def test_the_page_about_the_cache_has_every_reason() -> None:
    """Each is a word that a client may see in the header."""
    root = Path(__file__).parents[2]
    reasons_of_filter = re.findall(
        r'^    \w+ = "([a-z-]+)",$', (root / "filter/core/src/cache/reason.rs").read_text(), re.MULTILINE
    )
    page = (root / "docs/how-to/cache.md").read_text()

    assert len(reasons_of_filter) > 20
    assert [reason for reason in reasons_of_filter if f"`{reason}`" not in page] == []


def test_the_example_turns_a_cache_on() -> None:
    """It is a file to copy."""
    routes = ingress(rule("a.example.com", path("/", "my-release-milvus")))
    (cache,) = caches(Rounds()(routes, service("my-release-milvus"), EXAMPLE)).values()

    assert cache is not None
    assert cache.eventual_bound == 30.0
    assert [each.enabled for each in cache.collections] == [False]


@given(mutated(st.just(EXAMPLE)))
@examples(100)
def test_every_cache_is_refused_or_one_that_the_filter_takes(raw: dict[str, Any]) -> None:
    """Whatever a policy says: a configuration that the filter refuses would stop every update of Envoy."""
    objects: list[Manifest] = [
        ingress(rule("a.example.com", path("/", "my-release-milvus"))),
        service("my-release-milvus"),
    ]
    loaded = load_documents(text([*objects, raw]), "test.yaml")
    result = Translator().translate(loaded.objects, Options(), NOW, loaded.refused)

    for config in for_filter(result.model):
        found = msgspec.json.decode(config, type=RouteConfig)
        assert isinstance(found.cache, CacheConfig)
