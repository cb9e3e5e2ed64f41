"""The route of each call of Milvus, and the filters that are on for it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from google.protobuf.any_pb2 import Any

from kiteway._proto.envoy.config.route.v3.route_components_pb2 import FilterConfig, Route, RouteMatch
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.backed import Backed
from kiteway.envoy.xds.filters import FILTER, http_filters
from kiteway.envoy.xds.policy import grpc_policies, rest_policies
from kiteway.envoy.xds.routes import over_tls
from kiteway.milvus.catalogue import catalogue
from kiteway.model import PathMatch, PathMatchType, Policy
from tests.e2e.traffic import host, pool, route

WITH_FILTER = EnvoySettings(filter_path=Path("/filter.so"))
WITHOUT_FILTER = EnvoySettings()
SERVICE = "/milvus.proto.milvus.MilvusService"


def routes(settings: EnvoySettings, *paths: str, rate: float = 1.0) -> list[Route]:
    """Return the routes of a host with rules for ``paths``, those that forward; replication is not allowed."""
    rules = [route(path, log_sample_rate=rate) for path in paths or ("/",)]
    found = over_tls(Backed(host("*", *rules), tuple(pool() for _ in rules)), settings).routes
    return [each for each in found if each.HasField("route")]


def last(name: str) -> str:
    """Return the policy in a route's name."""
    return name.rpartition("/")[2]


def test_frequent_calls_are_routed_by_comparing_paths() -> None:
    """Frequent calls have the first routes, one for each path; an expression would make each of them more expensive."""
    calls = [each for each in routes(WITH_FILTER) if each.match.HasField("grpc")]
    found = [(last(each.name), each.match.path.removeprefix(f"{SERVICE}/")) for each in calls]
    assert found == [
        *(("read", name) for name in ("Query", "Search", "HybridSearch")),
        *(("write", name) for name in ("Delete", "Insert", "Upsert")),
        *(("session", name) for name in ("Connect", "GetVersion", "CheckHealth")),
        ("describe", "DescribeCollection"),
        ("meta-read", ""),
        ("stream", "/grpc.health.v1.Health/Watch"),
        ("other", ""),
    ]


@pytest.mark.parametrize("settings", [WITH_FILTER, WITHOUT_FILTER], ids=["with the filter", "without it"])
@pytest.mark.parametrize("prefix", ["/", SERVICE, f"{SERVICE}/DumpMessages"])
def test_replication_is_refused_unless_the_policy_allows_it(prefix: str, settings: EnvoySettings) -> None:
    """Whatever the rule, no route leads the streams of replication to Milvus, which may ask for no credentials there."""
    for allowed in (False, True):
        rule = route(prefix, policy=Policy(allow_replication=allowed))
        found = over_tls(Backed(host("*", rule), (pool(),)), settings).routes
        for name in ("DumpMessages", "CreateReplicateStream"):
            first = next(each for each in found if _matches(each.match, f"{SERVICE}/{name}", grpc=True))
            in_rule = _in_rule(prefix, PathMatchType.PREFIX, f"{SERVICE}/{name}")
            assert first.HasField("route") is (allowed and in_rule)
            if in_rule and not allowed:
                assert "allowReplication: true" in first.direct_response.body_format.text_format_source.inline_string


@pytest.mark.parametrize(
    "prefix",
    [
        "/",
        "/a",
        SERVICE,
        f"{SERVICE}/S",
        f"{SERVICE}/Search",
        f"{SERVICE}/Search/a",
        "/v2",
        "/v2/vectordb/entities",
        "/v1/vector/q",
    ],
)
@pytest.mark.parametrize("kind", PathMatchType)
def test_a_rule_for_a_part_of_the_paths_has_the_classes_that_are_left(prefix: str, kind: PathMatchType) -> None:
    """Whatever the rule, a call is of the class that it would be of with a rule for all paths."""
    rule = dataclasses.replace(route(policy=Policy(allow_replication=True)), match=PathMatch(kind, prefix))
    found = [
        each for each in over_tls(Backed(host("*", rule), (pool(),)), WITH_FILTER).routes if each.HasField("route")
    ]
    calls = [(True, rpc.path) for rpc in catalogue()] + [(True, f"{SERVICE}/Unknown"), (True, f"{prefix}/a")]
    calls += [
        (False, f"/v2/vectordb/{name}") for name in ("entities/query", "entities/insert", "collections/list", "a/b")
    ]
    calls += [(False, "/v1/vector/query"), (False, "/v1/vector/insert"), (False, prefix), (False, f"{prefix}/a")]
    for grpc, path in calls:
        policies = grpc_policies() if grpc else rest_policies()
        of_all = next(p.name for p in policies if p.regex is None or re.fullmatch(p.regex, path))
        first = next((last(each.name) for each in found if _matches(each.match, path, grpc=grpc)), None)
        assert first == (of_all if _in_rule(prefix, kind, path) else None), path


def _in_rule(prefix: str, kind: PathMatchType, path: str) -> bool:
    match kind:
        case PathMatchType.EXACT:
            return path == prefix
        case PathMatchType.STRING_PREFIX:
            return path.startswith(prefix)
        case PathMatchType.PREFIX:
            return prefix in {"/", path} or path.startswith(f"{prefix}/")


def _matches(match: RouteMatch, path: str, *, grpc: bool) -> bool:
    """Match as Envoy does."""
    kind = {
        "path": PathMatchType.EXACT,
        "prefix": PathMatchType.STRING_PREFIX,
        "path_separated_prefix": PathMatchType.PREFIX,
    }
    specifier = match.WhichOneof("path_specifier")
    assert specifier is not None
    return (
        _in_rule(getattr(match, specifier), kind[specifier], path)
        and (grpc or not match.HasField("grpc"))
        and all(re.fullmatch(each.string_match.safe_regex.regex, path) for each in match.headers)
    )


def test_a_rule_for_paths_of_no_class_takes_no_expression() -> None:
    """A hundred paths of a tenant's own would be hundreds of expressions otherwise, none of which matches."""
    found = routes(WITH_FILTER, "/a")
    assert [last(each.name) for each in found] == ["other", "rest-other"]
    assert not any(each.match.headers for each in found)


@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_the_filter_is_on_where_marks_are_to_be_taken_off(rate: float) -> None:
    """The filter is on for `Connect` and for calls that may not be repeated, and for others only if a share is logged."""
    for each in routes(WITH_FILTER, rate=rate):
        policy, config = last(each.name), each.typed_per_filter_config
        connects = each.match.path.endswith("/Connect")
        on = rate < 1 or connects or policy in {"write", "stream", "other"}
        assert (FILTER in config) == on, policy
        if on and rate == 1 and not connects:
            assert config[FILTER].type_url.endswith("FilterConfig")


@pytest.mark.parametrize("fail_open", [False, True])
def test_connect_is_answered_without_a_healthy_endpoint(*, fail_open: bool) -> None:
    """Not where endpoints that fail their check get calls all the same."""
    settings = dataclasses.replace(WITH_FILTER, fail_open=fail_open)
    [connect] = [each for each in routes(settings) if each.match.path.endswith("/Connect")]
    assert (b"answer_without_endpoint" in connect.typed_per_filter_config[FILTER].value) is not fail_open


def test_an_empty_configuration_turns_it_on() -> None:
    """Envoy refuses a per-route entry without the configuration field."""
    [write] = [each for each in routes(WITH_FILTER) if each.match.path == f"{SERVICE}/Insert"]
    config = FilterConfig()
    assert write.typed_per_filter_config[FILTER].Unpack(config)
    assert (config.disabled, config.HasField("config"), config.config) == (False, True, Any())


def test_without_the_filter_no_route_speaks_to_it() -> None:
    """No route has a configuration for it, and it is not in the listener."""
    assert not any(FILTER in each.typed_per_filter_config for each in routes(WITHOUT_FILTER))
    assert [each.name for each in http_filters(WITHOUT_FILTER)] == ["envoy.filters.http.router"]
    assert [each.disabled for each in http_filters(WITH_FILTER)] == [True, False]


def test_the_filter_and_the_routes_agree_on_what_may_be_repeated() -> None:
    """The upstream filter rejects a call only on routes without a mark to remove, and no others."""
    table = (Path(__file__).parents[2] / "filter/core/src/milvus/rpc_table.rs").read_text()
    refused = set(re.findall(r'Rpc::new\("([^"]+)", "[^"]+", Class::\w+, true,', table))
    repeatable = [policy for policy in grpc_policies() if policy.repeatable]
    found = {
        rpc.path
        for rpc in catalogue()
        if any(policy.regex and re.fullmatch(policy.regex, rpc.path) for policy in repeatable)
    }
    assert refused == found
    assert 60 < len(found) < len(catalogue())
