"""A round costs only the work for the objects that changed."""

from __future__ import annotations

import dataclasses
import datetime as dt
import operator
from collections.abc import Iterable
from typing import Any

import pytest

from kiteway._proto.envoy.config.listener.v3.listener_pb2 import Listener
from kiteway._proto.envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from kiteway.certificates.create import create_self_signed
from kiteway.diagnostics import Diagnostic, ObjectRef
from kiteway.envoy.ads import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from kiteway.envoy.ads.snapshot import Piece
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.assembled import RepeatedField, piece
from kiteway.memo import Memo
from kiteway.pipeline.pipeline import Outcome, Pipeline
from kiteway.quarantine.quarantine import Quarantine
from kiteway.resources import EndpointSlice, Object, load_object
from kiteway.sources.files import SourceContent
from kiteway.translate import Options
from kiteway.translate.ingress.front_end import INGRESS, translate_ingress
from kiteway.translate.shared.limits import NamespaceLimits
from tests.support.manifests import Manifest, backend_config, endpoint_slice, ingress, path, rule, secret, service

NOW = dt.datetime.now(dt.UTC)
OPTIONS = Options()
PAIR = create_self_signed(["*.example.com"])


def objects(*manifests: Manifest) -> list[Object]:
    """Read manifests as the Kubernetes API gives them."""
    return [object_ for manifest in manifests for object_ in load_object(dict(manifest)).objects]


def app(number: int) -> list[Object]:
    """Return an Ingress with all it needs."""
    name = f"milvus-{number}"
    return objects(
        ingress(rule(f"{name}.example.com", path("/", name)), name=name, tls=[name]),
        service(name, protocol="HTTP2", rest_port=8080, backend_config=name),
        backend_config(name, timeoutSec=60),
        secret(name, PAIR),
        endpoint_slice([f"10.0.{number}.1", f"10.0.{number}.2"], 19530, name),
    )


class World:
    """A pipeline and the objects that it is given."""

    def __init__(self, apps: int) -> None:
        self.objects: dict[ObjectRef, Object] = {o.ref: o for number in range(apps) for o in app(number)}
        self.pipeline = Pipeline(EnvoySettings())

    def run(self, *changed: Object, removed: Iterable[ObjectRef] = ()) -> Outcome:
        """Run a round with some objects changed, which Envoy accepts."""
        for ref in removed:
            del self.objects[ref]
        self.objects |= {object_.ref: object_ for object_ in changed}
        outcome = self.pipeline.run(SourceContent(tuple(self.objects.values()), (), ()), {}, NOW, OPTIONS)
        self.pipeline.judge(Quarantine.accept, NOW)
        return outcome


@pytest.fixture
def world() -> World:
    """Return three applications after a first round."""
    found = World(3)
    found.run()
    return found


@pytest.fixture
def translated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the Ingresses that are translated from here on."""
    names: list[str] = []

    def spy(ingress: Any, *rest: Any) -> Any:
        names.append(ingress.metadata.name)
        return translate_ingress(ingress, *rest)

    front_ends = {"Ingress": dataclasses.replace(INGRESS, translate=spy)}
    monkeypatch.setattr("kiteway.translate.translator.FRONT_ENDS", front_ends)
    return names


def test_a_round_without_a_change(world: World, translated: list[str]) -> None:
    """Nothing is translated, and every resource is the same object as in the last round."""
    before = world.pipeline.outcome
    after = world.run()
    assert before is not None
    assert translated == []
    assert all(
        after.snapshot[kind][name] is before.snapshot[kind][name]
        for kind in after.snapshot
        for name in after.snapshot[kind]
    )


def test_refused_objects_are_judged_again_only_when_their_namespace_changes(world: World) -> None:
    """A tenant with thousands of objects above its limit does not delay the changes of another tenant."""
    limited = Options(namespace_limits=NamespaceLimits(hosts=1))

    def refusals() -> list[Diagnostic]:
        content = SourceContent(tuple(world.objects.values()), (), ())
        outcome = world.pipeline.run(content, {}, NOW, limited)
        world.pipeline.judge(Quarantine.accept, NOW)
        return [d for d in outcome.diagnostics if d.reason == "NamespaceLimit"]

    before = refusals()
    world.objects |= {o.ref: o for o in objects(ingress(rule("other.example.org"), name="other", namespace="other"))}
    after = refusals()
    assert len(before) == 2
    assert all(map(operator.is_, before, after))
    world.objects |= {o.ref: o for o in app(3)}
    assert len(refusals()) == 3


def by_path(of_rule: str, name: str) -> list[Object]:
    """Return an application's Ingress with another path than ``/``."""
    return objects(ingress(rule(f"{name}.example.com", path(of_rule, name)), name=name, tls=[name]))


def test_paths_are_made_canonical_from_the_first_rule_by_path_on(world: World) -> None:
    """The first rule for a path other than / changes the listeners; before, there is no rule to bypass."""
    steps = [world.run(), world.run(*by_path("/v1", "milvus-1")), world.run(*by_path("/v2", "milvus-2"))]
    assert [normalizes(step) for step in steps] == [{False}, {True}, {True}]
    assert LISTENER in steps[1].snapshot.diff(steps[0].snapshot)
    assert LISTENER not in steps[2].snapshot.diff(steps[1].snapshot)


def test_a_path_that_comes_and_goes_changes_the_listeners_once(world: World) -> None:
    """Every change of the listeners drains the connections of all tenants."""
    world.run()
    steps = [world.run(*by_path(one, "milvus-1")) for one in ("/v1", "/", "/v1", "/")]
    assert [normalizes(step) for step in steps] == [{True}] * 4
    assert all(step.snapshot[LISTENER] is steps[0].snapshot[LISTENER] for step in steps)


def test_a_rule_for_exactly_the_root_is_one_by_path(world: World) -> None:
    """With an Exact rule for /, all other paths belong to another rule."""
    name = "milvus-1"
    exact = objects(ingress(rule(f"{name}.example.com", path("/", name, kind="Exact")), name=name, tls=[name]))
    assert normalizes(world.run(*exact)) == {True}


def normalizes(outcome: Outcome) -> set[bool]:
    """Return whether the listeners make paths canonical."""
    found = set()
    for resource in outcome.snapshot[LISTENER].values():
        for chain in Listener.FromString(resource.body).filter_chains:
            manager = hcm.HttpConnectionManager()
            chain.filters[-1].typed_config.Unpack(manager)
            found.add(manager.normalize_path.value)
    return found


def test_one_ingress_changes(world: World, translated: list[str]) -> None:
    """Only this Ingress is translated, and only the route tables are built again."""
    name = "milvus-1"
    before = world.run(*by_path("/v1", name))
    translated.clear()
    after = world.run(*by_path("/v2", name))
    assert translated == [name]
    assert {kind: sorted(names) for kind, names in after.snapshot.diff(before.snapshot).items()} == {
        ROUTE: ["http", "https"]
    }
    for kind in (CLUSTER, ENDPOINT, SECRET, LISTENER):
        assert all(after.snapshot[kind][one] is before.snapshot[kind][one] for one in after.snapshot[kind])


def test_one_host_of_a_table_is_serialised(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after rounds without a change, a table is put together from the bytes of unchanged hosts."""
    serialised: list[str] = []

    def spy(host: Any, field: RepeatedField) -> Piece:
        serialised.extend(host.domains)
        return piece(host, field)

    world.run()
    world.run()
    monkeypatch.setattr("kiteway.envoy.xds.routes.piece", spy)
    world.run(*objects(ingress(rule("milvus-1.example.com", path("/v2", "milvus-1")), name="milvus-1")))
    # The spy is not the function whose results are known, so the first round asks it for everything.
    serialised.clear()
    world.run()
    world.run()
    assert serialised == []
    world.run(*objects(ingress(rule("milvus-1.example.com", path("/v3", "milvus-1")), name="milvus-1")))
    assert serialised == ["milvus-1.example.com"] * 2


def test_one_endpoint_changes(world: World, translated: list[str]) -> None:
    """Nothing is translated, and only this Service's load assignments are built again; the next full round agrees."""
    before = world.pipeline.outcome
    [slice_] = objects(endpoint_slice(["10.0.1.9"], 19530, "milvus-1"))
    assert isinstance(slice_, EndpointSlice)
    after = world.pipeline.run_slices([], [slice_], NOW)
    assert before is not None
    assert after is not None
    assert translated == []
    assert {kind: sorted(names) for kind, names in after.snapshot.diff(before.snapshot).items()} == {
        ENDPOINT: ["pool/default/milvus-1/19530/grpc", "pool/default/milvus-1/19530/rest"]
    }
    assert world.run(slice_).snapshot.diff(after.snapshot) == {}


def test_a_full_round_replaces_single_changes(world: World) -> None:
    """A full round has all objects: a slice that it lacks no longer counts."""
    before = world.run()
    [slice_] = objects(endpoint_slice(["10.0.1.9"], 19530, "milvus-1"))
    assert isinstance(slice_, EndpointSlice)
    world.pipeline.run_slices([], [slice_], NOW)
    assert world.run().snapshot.diff(before.snapshot) == {}


def test_an_ingress_comes_and_goes(world: World) -> None:
    """After its removal everything is, byte for byte, as before it was added."""
    before = world.run()
    more = app(7)
    assert world.run(*more).snapshot.version != before.snapshot.version
    assert world.run(removed=[o.ref for o in more]).snapshot.version == before.snapshot.version


def test_a_backend_config_changes(world: World, translated: list[str]) -> None:
    """The Ingresses that depend on it are translated; a warm pipeline gives the same result as a cold one."""
    changed = objects(backend_config("milvus-2", timeoutSec=30))
    warm = world.run(*changed)
    assert translated == ["milvus-2"]
    cold = Pipeline(EnvoySettings()).run(SourceContent(tuple(world.objects.values()), (), ()), {}, NOW, OPTIONS)
    assert warm.snapshot.diff(cold.snapshot) == {}


def test_kept_values_are_told_apart_by_identity_and_forgotten() -> None:
    """A value used in every round is computed once; one that a round does not use is computed again."""
    made: list[object] = []

    def make(value: object, members: tuple[object, ...]) -> list[object]:
        made.append(value)
        return [value, *members]

    memo, one, other = Memo(), object(), object()
    first = memo(make, one, (other,))
    for _ in range(3):
        memo.turn()
        assert memo(make, one, (other,)) is first
    assert memo(make, one, (one,)) is not first
    memo.turn()
    memo.turn()
    assert memo(make, one, (other,)) is not first
    assert made == [one, one, one]


def test_a_row_costs_only_its_new_values() -> None:
    """The results for the values of a row are computed once; the same row gives the same results."""
    made: list[str] = []
    values = [object() for _ in range(4)]
    names = {id(value): name for name, value in zip("abcd", values, strict=True)}

    def make(value: object, suffix: str) -> str:
        made.append(names[id(value)])
        return names[id(value)] + suffix

    memo, suffix = Memo(), "!"
    first = memo.each("row", make, values[:3], suffix)
    assert first == ("a!", "b!", "c!")
    for _ in range(3):
        memo.turn()
        assert memo.each("row", make, list(values[:3]), suffix) is first
    assert memo.each("row", make, [values[3], values[0], values[0]], suffix) == ("d!", "a!", "a!")
    assert made == ["a", "b", "c", "d"]
    assert memo.each("row", make, [values[1]], suffix) == ("b!",)
    assert memo.each("another row", make, [values[1]], suffix) == ("b!",)
    assert made == ["a", "b", "c", "d", "b", "b"]


def test_again_begins_with_what_was_made_last() -> None:
    """With the same arguments the result is the same object; with others it is made from the last one, or from none."""
    memo, one, other = Memo(), object(), object()

    def make(last: list[object] | None, value: object) -> list[object]:
        return [*(last or ()), value]

    first = memo.again("row", make, one)
    memo.turn()
    assert memo.again("row", make, one) is first
    assert memo.again("row", make, other) == [one, other]
    memo.turn()
    memo.turn()
    assert memo.again("row", make, other) == [other]
