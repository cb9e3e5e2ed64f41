"""What a MilvusPolicy means, for which routes, and since when."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import msgspec
import yaml
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st

from kiteway._proto.envoy.config.route.v3.route_components_pb2 import Route as EnvoyRoute
from kiteway._proto.envoy.extensions.filters.http.dynamic_modules.v3.dynamic_modules_pb2 import (
    DynamicModuleFilterPerRoute,
)
from kiteway.envoy.ads import ROUTE
from kiteway.envoy.filter_config import RouteConfig
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.build import build
from kiteway.envoy.xds.common import HTTP_LISTENER
from kiteway.envoy.xds.filters import FILTER
from kiteway.envoy.xds.route_policy import policy_for_filter
from kiteway.model import Admission, LimitKey, LoadBalancer, Policy, PolicyReason
from kiteway.pipeline.pipeline import Pipeline
from kiteway.quarantine.quarantine import Quarantine
from kiteway.resources import load_documents
from kiteway.sources.files import SourceContent
from kiteway.translate import Options, Result, Translator
from kiteway.translate.shared.limits import MOST_POLICIES, NamespaceLimits
from kiteway.translate.shared.routes import envoy_routes
from tests.support.examples import examples
from tests.support.manifests import Manifest, ingress, milvus_policy, path, rule, service, text
from tests.unit.test_resources_properties import mutated

NOW = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)
BASE: list[Manifest] = [ingress(rule("a.example.com")), service()]
EXAMPLE = yaml.safe_load((Path(__file__).parents[2] / "examples" / "milvuspolicy.yaml").read_text())


class Rounds:
    """A translator, round after round."""

    def __init__(self, **options: Any) -> None:
        self._translator = Translator()
        self._options = Options(**options)

    def __call__(self, *manifests: Manifest) -> Result:
        """Translate what there is now."""
        loaded = load_documents(text(manifests), "test.yaml")
        return self._translator.translate(loaded.objects, self._options, NOW, loaded.refused)


def policies(result: Result) -> dict[str, Policy]:
    """Return the policy of each path."""
    return {f"{h.domain}{r.match.path}": r.policy for h in result.model.hosts for r in h.routes}


def reasons(result: Result) -> list[str]:
    """Return the reasons of the diagnostics about policies."""
    return [d.reason for d in result.diagnostics if d.reason.startswith("Policy")]


def limit(requests: int, **more: Any) -> dict[str, Any]:
    """Return a limit by user."""
    return {"by": ["user"], "requestsPerSecond": requests, **more}


def test_a_policy_holds_for_what_leads_to_its_target_alone() -> None:
    """A Service's policy holds for all paths to it, and for no others."""
    routes = ingress(rule("a.example.com", path("/a"), path("/b", "other")))
    found = policies(Rounds()(routes, service(), service("other"), milvus_policy("milvus", hedging={"delay": "1s"})))

    assert found["a.example.com/a"].hedging_delay == 1.0
    assert found["a.example.com/b"] == Policy()


def test_an_ingress_wins_field_by_field() -> None:
    """What the Ingress's policy sets is its; each other field is the Service's; each origin is known."""
    of_service = milvus_policy(
        "milvus",
        name="of-service",
        limits=[limit(20)],
        admission={"maxConcurrentReads": 64, "maxWait": "2s"},
        hedging={"delay": "200ms"},
        allowReplication=True,
    )
    of_ingress = milvus_policy(
        ingresses=["milvus"],
        name="of-ingress",
        limits=[],
        admission={"maxConcurrentReads": "adaptive"},
        allowReplication=False,
    )
    found = policies(Rounds()(*BASE, of_service, of_ingress))["a.example.com/"]

    assert found.limits == ()
    assert found.admission is not None
    assert (found.admission.reads, found.admission.wait) == ("adaptive", 2.0)
    assert found.admission_scope == "Ingress default/milvus, default/milvus/19530"
    assert found.hedging_delay == 0.2
    assert not found.allow_replication
    assert {o.field: o.policy.name if o.policy else "" for o in found.origins} == {
        "limits": "of-ingress",
        "admission.maxConcurrentReads": "of-ingress",
        "admission.maxWait": "of-service",
        "admission.maxQueuedBytes": "",
        "hedging.delay": "of-service",
        "allowReplication": "of-ingress",
    }


def test_a_limit_with_names_takes_the_place_of_one_without() -> None:
    """Only limits by the same key are replaced."""
    limits = [
        limit(20),
        limit(200, names=["etl", "batch"]),
        {"by": ["database"], "inFlight": 1},
        {"by": ["user", "database"], "inFlight": 2},
    ]
    every, named, database, pair = policies(Rounds()(*BASE, milvus_policy("milvus", limits=limits)))[
        "a.example.com/"
    ].limits

    assert (every.names, every.excluded) == ((), ("batch", "etl"))
    assert (named.names, named.excluded) == (("batch", "etl"), ())
    assert (database.excluded, pair.excluded) == ((), ())
    assert pair.by == (LimitKey.USER, LimitKey.DATABASE)


def test_the_older_of_two_policies_has_the_target() -> None:
    """The younger one is told, and gets the target when the older one goes."""
    rounds = Rounds()
    young = milvus_policy("milvus", name="a-young", created="2026-02-01T00:00:00Z", hedging={"delay": "1s"})
    old = milvus_policy("milvus", name="old", created="2026-01-01T00:00:00Z", hedging={"delay": "2s"})
    both = rounds(*BASE, young, old)

    assert policies(both)["a.example.com/"].hedging_delay == 2.0
    assert reasons(both) == ["PolicyConflicted"]
    assert {a.policy.name: a.reason for a in both.attachments} == {
        "old": PolicyReason.ACCEPTED,
        "a-young": PolicyReason.CONFLICTED,
    }
    assert policies(rounds(*BASE, young))["a.example.com/"].hedging_delay == 1.0


def test_a_policy_follows_its_target() -> None:
    """It waits for a target that is not there, has its effect when it comes, and none when the policy goes."""
    rounds = Rounds()
    policy = milvus_policy("milvus", hedging={"delay": "1s"})
    early = rounds(policy)

    assert reasons(early) == ["PolicyTargetNotFound"]
    assert policies(rounds(policy, *BASE))["a.example.com/"].hedging_delay == 1.0
    assert policies(rounds(*BASE))["a.example.com/"] == Policy()
    moved = rounds(*BASE, service("other"), milvus_policy("other", hedging={"delay": "1s"}))
    assert policies(moved)["a.example.com/"] == Policy()
    assert reasons(moved) == ["PolicyWithoutEffect"]


def test_only_the_ingresses_of_the_target_are_translated_anew() -> None:
    """A policy of one Service costs the others nothing."""
    rounds = Rounds()
    others = [ingress(rule("b.example.com", path("/", "other")), name="other"), service("other")]
    before = rounds(*BASE, *others)
    after = rounds(*BASE, *others, milvus_policy("milvus", hedging={"delay": "1s"}))

    changed = [b is not a for b, a in zip(before.model.hosts, after.model.hosts, strict=True)]
    assert changed == [True, False]


def test_a_mistake_in_a_policy_does_not_lift_its_limits() -> None:
    """One that cannot be read any more keeps its last good form, and is listed."""
    rounds = Rounds()
    good = rounds(*BASE, milvus_policy("milvus", limits=[limit(20)]))
    bad = rounds(*BASE, milvus_policy("milvus", limits=[limit(0)]))

    assert bad.model == good.model
    assert [str(ref) for ref in bad.retained] == ["MilvusPolicy default/policy"]
    (attachment,) = bad.attachments
    assert attachment.message == "Service default/milvus has the last good form of this policy, which has errors now."
    again = rounds(*BASE, milvus_policy("milvus", limits=[limit(30)]))
    assert policies(again)["a.example.com/"].limits[0].requests_per_second == 30
    assert again.retained == ()


def test_another_controllers_ingress_is_no_target_of_ours() -> None:
    """Nothing is said of it: that controller, or a second Kiteway, answers for it."""
    foreign = {**ingress(rule("b.example.com"), name="foreign")}
    foreign["metadata"] = {**foreign["metadata"], "annotations": {"kubernetes.io/ingress.class": "nginx"}}
    result = Rounds()(*BASE, foreign, milvus_policy(ingresses=["foreign"], hedging={"delay": "1s"}))

    assert result.attachments == ()
    assert reasons(result) == []


def test_without_the_filter_limits_are_said_to_have_no_effect() -> None:
    """Hedging needs no filter: nothing is said of it."""
    rounds = Rounds(with_filter=False)

    assert reasons(rounds(*BASE, milvus_policy("milvus", limits=[limit(1)]))) == ["PolicyWithoutFilter"]
    assert reasons(rounds(*BASE, milvus_policy("milvus", hedging={"delay": "1s"}))) == []


def test_what_policies_take_of_envoys_memory_is_bounded() -> None:
    """Names are copied to each path; where there are too many of both, it is an error."""
    names = [f"{number:0255}" for number in range(64)]
    policy = milvus_policy("milvus", limits=[limit(1, names=names)])
    few = Rounds()(ingress(rule("a.example.com", *(path(f"/{n}") for n in range(50)))), service(), policy)
    many = Rounds()(ingress(rule("a.example.com", *(path(f"/{n}") for n in range(300)))), service(), policy)

    assert reasons(few) == []
    assert reasons(many) == ["PolicyCopiesTooMany"]
    assert sum(len(text) for text in all_for_filter(many.model)) <= 16 << 20


def test_a_path_whose_policy_is_too_large_is_not_served() -> None:
    """It would be served without any limit, or by the route of a shorter path."""
    names = [f"{number:0255}" for number in range(64)]
    policy = milvus_policy("milvus", limits=[limit(1, names=names)])
    result = Rounds()(ingress(rule("a.example.com", *(path(f"/{n}") for n in range(300)))), service(), policy)
    (host,) = result.model.hosts

    assert len(host.routes) == 300
    assert {route.pool is None for route in host.routes} == {False, True}
    assert all((route.pool is None) == (route.policy == Policy()) for route in host.routes)


def test_a_policy_is_counted_once_for_each_route_of_envoy() -> None:
    """No path has more copies of its policy than it is counted with, and / and /v2 have exactly as many, with replication."""
    service_path = "/milvus.proto.milvus.MilvusService"
    policy = milvus_policy("milvus", limits=[limit(1)], allowReplication=True)
    for kind, texts in {
        "Prefix": ("/", "/a", "/m", service_path, f"{service_path}/Search", "/v1", "/v2", "/v2/vectordb/entities"),
        "Exact": ("/", "/a", f"{service_path}/Search", f"{service_path}/Insert", "/v2/vectordb/entities/search"),
        "ImplementationSpecific": ("/*", f"{service_path}/*", "/v2/*", "/v2/vectordb/entities/*"),
    }.items():
        for each in texts:
            result = Rounds()(ingress(rule("a.example.com", path(each, kind=kind))), service(), policy)
            (route,) = result.model.hosts[0].routes
            copies = len(all_for_filter(result.model))
            assert 0 < copies <= envoy_routes(route.match), each
            if kind == "Prefix" and each in {"/", "/v2"}:
                assert copies == envoy_routes(route.match)


def test_the_copies_of_policies_in_a_namespace_are_bounded() -> None:
    """Ingresses with one path each, whose policies are small, take no more of Envoy than the namespace may have."""
    names = [f"{number:0255}" for number in range(64)]
    policy = milvus_policy("milvus", limits=[limit(1, names=names)])
    hosts = [ingress(rule(f"h{n}.example.com"), name=f"i{n}") for n in range(10)]
    result = Rounds(namespace_limits=NamespaceLimits(bytes=1 << 22))(*hosts, service(), policy)

    assert "NamespaceLimit" in [d.reason for d in result.diagnostics]
    assert sum(len(text) for text in all_for_filter(result.model)) <= (1 << 22) / 3 * 1.1


def test_policies_beyond_those_of_a_namespace_are_left_out() -> None:
    """The oldest count, and each of the others is told."""

    def stamp(number: int) -> str:
        return f"2026-01-01T{number // 60:02}:{number % 60:02}:00Z"

    some = [milvus_policy(f"s{n}", name=f"p{n}", created=stamp(n)) for n in range(1, MOST_POLICIES + 1)]
    beyond = milvus_policy("milvus", name="a", created=stamp(MOST_POLICIES + 1), hedging={"delay": "1s"})
    rounds = Rounds()
    result = rounds(*BASE, *some, beyond)

    assert policies(result)["a.example.com/"] == Policy()
    assert [d.object.name for d in result.diagnostics if d.reason == "PoliciesTooMany" and d.object] == ["a"]
    assert policies(rounds(*BASE, *some[1:], beyond))["a.example.com/"].hedging_delay == 1.0


def for_filter(model: LoadBalancer) -> set[str]:
    """Return what the routes say to the filter."""
    found = set()
    for message in build(model, EnvoySettings(filter_path=Path("/filter.so"))):
        for host in getattr(message, "virtual_hosts", ()):
            for route in host.routes:
                found.add(_config(route))
    return found - {""}


def all_for_filter(model: LoadBalancer) -> list[str]:
    """Return what each route of the listener for HTTP says to the filter."""
    return [
        _config(route)
        for message in build(model, EnvoySettings(filter_path=Path("/filter.so")))
        if getattr(message, "name", "") == HTTP_LISTENER
        for host in getattr(message, "virtual_hosts", ())
        for route in host.routes
        if _config(route)
    ]


def _config(route: EnvoyRoute) -> str:
    """Return what a route that forwards says to the filter, without the answer to `Connect`, which only its own route has."""
    per_route, value = DynamicModuleFilterPerRoute(), StringValue()
    if not (route.HasField("route") and route.typed_per_filter_config[FILTER].Unpack(per_route)):
        return ""
    per_route.filter_config.Unpack(value)
    found = json.loads(value.value)
    found.pop("answer_without_endpoint", None)
    return json.dumps(found) if found else ""


def test_each_replica_has_an_equal_share() -> None:
    """Rates are divided, counts are rounded up, and what is each replica's own is not divided."""
    limits = [limit(20, inFlight=1, burst="2s")]
    admission = {"maxConcurrentReads": 64, "maxConcurrentWrites": 2, "maxQueuedBytes": "1Mi"}
    model = Rounds()(*BASE, milvus_policy("milvus", limits=limits, admission=admission)).model
    found = policy_for_filter(model.hosts[0].routes[0].policy, 3)

    assert json.loads(msgspec.json.encode(found)) == {
        "scope": "Service default/milvus",
        "limits": [{"by": ["user"], "requestsPerSecond": 20 / 3, "inFlight": 1, "burstMs": 2000}],
        "admission": {
            "scope": "default/milvus/19530",
            "waitMs": 1000,
            "queuedBytes": 1 << 20,
            "reads": 22,
            "writes": 1,
        },
    }


def test_the_filter_gets_the_policy_on_every_route_that_forwards() -> None:
    """Calls of all kinds are limited, so that each route has the same configuration."""
    model = Rounds()(*BASE, milvus_policy("milvus", limits=[limit(20)])).model
    [config] = for_filter(model)

    assert json.loads(config)["policy"]["limits"] == [{"by": ["user"], "requestsPerSecond": 20.0, "burstMs": 1000}]


@given(mutated(st.just(EXAMPLE)))
@examples(100)
def test_no_policy_makes_the_translation_raise(raw: dict[str, Any]) -> None:
    """Whatever a policy says, it is refused, or the filter's configuration is one that the filter takes."""
    loaded = load_documents(text([*BASE, raw]), "test.yaml")
    result = Translator().translate(loaded.objects, Options(), NOW, loaded.refused)

    for config in for_filter(result.model):
        msgspec.json.decode(config, type=RouteConfig)


def test_the_number_of_replicas_changes_what_is_divided_and_nothing_else() -> None:
    """Nothing is translated, and only routes change, by their limits."""
    others = [ingress(rule("b.example.com", path("/", "other")), name="other"), service("other")]
    loaded = load_documents(text([*BASE, *others, milvus_policy("milvus", limits=[limit(20)])]), "test.yaml")
    pipeline = Pipeline(EnvoySettings(filter_path=Path("/filter.so")))
    one = pipeline.run(SourceContent(loaded.objects, (), ()), {}, NOW, Options())
    pipeline.judge(Quarantine.accept, NOW)
    two = pipeline.scale(2, NOW)

    assert two is not None
    assert pipeline.scale(2, NOW) is None
    assert two.snapshot.diff(one.snapshot).keys() == {ROUTE}
    [before] = for_filter(one.model)
    [after] = for_filter(two.model)
    rates = [json.loads(each)["policy"]["limits"][0]["requestsPerSecond"] for each in (before, after)]
    assert rates == [20.0, 10.0]


def test_each_policy_counts() -> None:
    """A policy has a size, whatever it sets: a namespace's copies of it in Envoy are limited."""
    policies = (
        Policy(admission=Admission(reads=1, writes=None, wait=1.0, queued_bytes=1)),
        Policy(hedging_delay=1.0),
        Policy(limits=(), cache=None),
    )
    assert [policy.size > 0 for policy in policies] == [True, True, False]
