"""What a change costs: what it changed, and nothing else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import pytest

from kiteway.certificates.create import create_self_signed
from kiteway.controlplane.pipeline import Outcome, Pipeline
from kiteway.diagnostics import ObjectRef
from kiteway.envoy.ads import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.kept import Kept
from kiteway.resources import EndpointSlice, Object, load_object
from kiteway.sources.files import Resources
from kiteway.translate import Options
from kiteway.translate.ingresses import translate_ingress
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
        """Run a round with some objects changed."""
        for ref in removed:
            del self.objects[ref]
        self.objects |= {object_.ref: object_ for object_ in changed}
        return self.pipeline.run(Resources(tuple(self.objects.values()), (), ()), {}, NOW, OPTIONS)


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

    monkeypatch.setattr("kiteway.translate.translator.translate_ingress", spy)
    return names


def test_a_round_without_a_change(world: World, translated: list[str]) -> None:
    """Nothing is translated, and every resource is the very object of the round before."""
    before = world.pipeline.outcome
    after = world.run()
    assert before is not None
    assert translated == []
    assert all(
        after.snapshot[kind][name] is before.snapshot[kind][name]
        for kind in after.snapshot
        for name in after.snapshot[kind]
    )


def test_one_ingress_changes(world: World, translated: list[str]) -> None:
    """Only it is translated, and only the route tables are made anew."""
    before = world.pipeline.outcome
    name = "milvus-1"
    changed = objects(ingress(rule(f"{name}.example.com", path("/v2", name)), name=name, tls=[name]))
    after = world.run(*changed)
    assert before is not None
    assert translated == [name]
    assert {kind: sorted(names) for kind, names in after.snapshot.diff(before.snapshot).items()} == {
        ROUTE: ["http", "https"]
    }
    for kind in (CLUSTER, ENDPOINT, SECRET, LISTENER):
        assert all(after.snapshot[kind][one] is before.snapshot[kind][one] for one in after.snapshot[kind])


def test_one_endpoint_changes(world: World, translated: list[str]) -> None:
    """Nothing is translated, and only its Service's load assignments are made anew; the next full round agrees."""
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


def test_an_ingress_comes_and_goes(world: World) -> None:
    """After it has gone everything is, byte for byte, as before it came."""
    before = world.run()
    more = app(7)
    assert world.run(*more).snapshot.version != before.snapshot.version
    assert world.run(removed=[o.ref for o in more]).snapshot.version == before.snapshot.version


def test_a_backend_config_changes(world: World, translated: list[str]) -> None:
    """The Ingresses that depend on it are translated; a warm pipeline gives what a cold one does."""
    changed = objects(backend_config("milvus-2", timeoutSec=30))
    warm = world.run(*changed)
    assert translated == ["milvus-2"]
    cold = Pipeline(EnvoySettings()).run(Resources(tuple(world.objects.values()), (), ()), {}, NOW, OPTIONS)
    assert warm.snapshot.diff(cold.snapshot) == {}


def test_kept_values_are_told_apart_by_identity_and_forgotten() -> None:
    """What is asked for in every round is made once; what is not asked for in a round is made again."""
    made: list[object] = []

    def make(value: object, members: tuple[object, ...]) -> list[object]:
        made.append(value)
        return [value, *members]

    kept, one, other = Kept(), object(), object()
    first = kept(make, one, (other,))
    for _ in range(3):
        kept.turn()
        assert kept(make, one, (other,)) is first
    assert kept(make, one, (one,)) is not first
    kept.turn()
    kept.turn()
    assert kept(make, one, (other,)) is not first
    assert made == [one, one, one]
