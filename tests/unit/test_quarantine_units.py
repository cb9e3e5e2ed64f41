"""The quarantine with real units: what it publishes, reports and stores."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiteway.certificates.create import create_self_signed
from kiteway.diagnostics import ObjectRef, Severity
from kiteway.envoy.ads import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, Rejection, Snapshot
from kiteway.envoy.settings import EnvoySettings
from kiteway.model import HTTPMode
from kiteway.pipeline.pipeline import Outcome, Pipeline
from kiteway.quarantine import blame, forms, quarantine, store
from kiteway.quarantine.quarantine import Quarantine
from kiteway.quarantine.search import Search
from kiteway.resources import Object, load_object
from kiteway.sources.files import SourceContent
from kiteway.translate import Options, Translator
from kiteway.translate.shared.unit import Unit
from tests.support.examples import examples
from tests.support.manifests import Manifest, backend_config, ingress, path, rule, secret, service

NOW = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)
BAD = "x-bad:yes"
PAIR = create_self_signed(["*.example.com"])


def objects(*manifests: Manifest) -> list[Object]:
    """Read manifests as the Kubernetes API gives them."""
    return [object_ for manifest in manifests for object_ in load_object(dict(manifest)).objects]


def app(name: str, header: str = "x-good:1", *, config: str = "", to: str = "/") -> list[Manifest]:
    """Return an Ingress with all it needs; ``config`` is the BackendConfig of another one that it shares."""
    return [
        ingress(rule(f"{name}.example.com", path(to, name)), name=name, tls=[name]),
        service(name, backend_config=config or name),
        backend_config(name, customRequestHeaders={"headers": [header]}),
        secret(name, PAIR),
    ]


class World:
    """A pipeline, and an Envoy that rejects a route table with a bad header, and says no more than that."""

    def __init__(
        self, stored: store.Stored | None = None, words: Iterable[bytes] = (b"x-bad",), says: str = "no good"
    ) -> None:
        """Let Envoy reject a table that has all of ``words``, with what it ``says``."""
        self.pipeline = Pipeline(EnvoySettings(), stored)
        self.pushes = 0
        self.tried: list[Outcome] = []
        self._words = tuple(words)
        self._says = says

    def begin(self, *apps: Iterable[Manifest]) -> Outcome:
        """Run a round."""
        found = tuple(object_ for manifests in apps for object_ in objects(*manifests))
        return self.pipeline.run(SourceContent(found, (), ()), {}, dt.datetime.now(dt.UTC), Options())

    @property
    def outcome(self) -> Outcome:
        """The published outcome."""
        assert self.pipeline.outcome is not None
        return self.pipeline.outcome

    def run(self, *apps: Iterable[Manifest]) -> Outcome:
        """Run a round, and let Envoy judge until it is content."""
        outcome = self.begin(*apps)
        self.pushes, self.tried = 0, []
        while outcome.quarantine.undecided:
            self.pushes += 1
            assert self.pushes < 1000
            self.tried.append(outcome)
            bad = self.rejected(outcome.snapshot)
            take = functools.partial(Quarantine.reject, rejections=[bad], now=NOW) if bad else Quarantine.accept
            self.pipeline.judge(take, dt.datetime.now(dt.UTC))
            outcome = self.outcome
        assert self.rejected(outcome.snapshot) is None
        return outcome

    def rejected(self, snapshot: Snapshot) -> Rejection | None:
        """Return the rejection of a bad snapshot."""
        for name, table in sorted(snapshot[ROUTE].items()):
            if all(word in table.body for word in self._words):
                return Rejection(ROUTE, "1", {name: table.version}, (), certain=True, message=self._says)
        return None


def hosts(outcome: Outcome) -> dict[str, str]:
    """Return the first path of each host, which tells its forms apart."""
    return {host.domain.partition(".")[0]: host.routes[0].match.path for host in outcome.model.hosts}


def held(outcome: Outcome) -> list[str]:
    """Return the names of the Ingresses in quarantine."""
    return [each.ref.name for each in outcome.quarantine.held]


def unit(*manifests: Manifest) -> Unit:
    """Return what the one Ingress among manifests means."""
    [found] = Translator().units(objects(*manifests), Options()).units
    return found


def test_a_culprit_is_held_in_its_last_accepted_form_and_named() -> None:
    """It is published in its last accepted form; the others are new."""
    world = World()
    world.run(app("a"), app("b"))
    outcome = world.run(app("a", BAD, to="/new"), app("b", to="/new"))

    assert hosts(outcome) == {"a": "/", "b": "/new"}
    [found] = [d for d in outcome.diagnostics if d.reason == "RejectedByEnvoy"]
    assert (found.severity, found.object) == (Severity.ERROR, ObjectRef("Ingress", "default", "a"))
    assert "no good" in found.message
    assert found in outcome.translation
    mended = world.run(app("a", to="/newer"), app("b", to="/new"))
    assert hosts(mended) == {"a": "/newer", "b": "/new"}
    assert not [d for d in mended.diagnostics if d.reason == "RejectedByEnvoy"]


def test_a_round_without_a_change_publishes_nothing_new() -> None:
    """Also while a unit is in quarantine, every resource is the same object as in the last round."""
    world = World()
    world.run(app("a"), app("b"))
    first = world.run(app("a", BAD), app("b"))
    second = world.run(app("a", BAD), app("b"))
    assert second.snapshot.version == first.snapshot.version
    assert world.pushes == 0


def test_all_ingresses_with_a_bad_shared_object_are_held() -> None:
    """Of Ingresses that share a bad BackendConfig all keep their last accepted form, and no other Ingress does."""
    world = World()
    world.run(app("a"), app("b", config="a"), app("c"))
    outcome = world.run(app("a", BAD, to="/new"), app("b", config="a", to="/new"), app("c", to="/new"))
    assert hosts(outcome) == {"a": "/", "b": "/", "c": "/new"}
    assert held(outcome) == ["a", "b"]


def test_new_certificate_requirements_close_the_last_accepted_form() -> None:
    """A bad Ingress that now requires certificates of clients serves no client without one."""
    world = World()
    world.run(app("a"), app("b"))
    closed = app("a", BAD)
    closed[0]["metadata"]["annotations"]["kiteway.io/client-ca-secret"] = "ca"
    authority = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ca", "namespace": "default"}}
    bundle = {**authority, "type": "Opaque", "stringData": {"ca.crt": PAIR.certificate.decode()}}
    outcome = world.run([*closed, bundle], app("b"))

    assert held(outcome) == ["a"]
    [host] = [host for host in outcome.model.hosts if host.domain == "a.example.com"]
    assert (host.https, host.http) == (False, HTTPMode.OFF)


def test_a_rejected_own_resource_blames_no_other_unit() -> None:
    """The rejection of a cluster is a verdict on the unit that owns it, and on no other."""
    quarantine = Quarantine()
    a, b = unit(*app("a")), unit(*app("b"))
    quarantine.want([a])
    own = Rejection(CLUSTER, "1", {"pool/default/a/19530/grpc": "1"}, (), certain=True, message="no")
    table = Rejection(ROUTE, "2", {"https": "1", "http": "1"}, (), certain=False, message="no")
    assert quarantine.against([own, table]) == [own, table]
    quarantine.accept()
    assert quarantine.against([own, table]) == [table]
    quarantine.want([a, b])
    assert quarantine.against([own, table]) == [table]


def test_the_last_accepted_form_survives_a_restart(tmp_path: Path) -> None:
    """It is stored with its key in a file for the owner only; forms that are known to be bad are not tried again."""
    world = World()
    world.run(app("a"), app("b"))
    before = world.run(app("a", BAD, to="/new"), app("b", to="/new"), app("c", BAD))
    file = tmp_path / "quarantine.json"
    store.write(file, world.pipeline.stored())
    assert file.stat().st_mode & 0o777 == 0o600

    after = World(store.read(file))
    outcome = after.run(app("a", BAD, to="/new"), app("b", to="/new"), app("c", BAD))

    assert after.pushes == 1
    assert outcome.snapshot.version == before.snapshot.version
    assert held(outcome) == held(before) == ["a", "c"]
    assert [d for d in outcome.diagnostics if d.reason == "RejectedByEnvoy"] == [
        d for d in before.diagnostics if d.reason == "RejectedByEnvoy"
    ]


def test_who_is_held_back_is_served_after_a_restart(tmp_path: Path) -> None:
    """An Ingress of which it is not known whether it is to blame keeps its last accepted form, and is tried again."""
    world = World()
    world.run(app("a"), app("b"))
    world.begin(app("a", BAD, to="/new"), app("b", to="/new"))
    rejection = world.rejected(world.outcome.snapshot)
    assert rejection is not None
    world.pipeline.judge(functools.partial(Quarantine.reject, rejections=[rejection], now=NOW), NOW)
    world.pipeline.judge(Quarantine.give_up, NOW)
    assert [each.since for each in world.outcome.quarantine.held] == [None, None]
    store.write(tmp_path / "q.json", world.pipeline.stored())

    after = World(store.read(tmp_path / "q.json"))
    first = after.begin(app("a", BAD, to="/new"), app("b", to="/new"))
    assert hosts(first) == {"a": "/", "b": "/"}
    last = after.run(app("a", BAD, to="/new"), app("b", to="/new"))
    assert hosts(last) == {"a": "/", "b": "/new"}
    assert held(last) == ["a"]


def test_another_version_of_kiteway_tries_again(tmp_path: Path) -> None:
    """It may translate differently, and begins with the accepted forms."""
    world = World()
    world.run(app("a"), app("b"))
    world.run(app("a", BAD, to="/new"), app("b"))
    stored = dataclasses.replace(world.pipeline.stored(), version="0.0.1")

    after = World(stored)
    outcome = after.run(app("a", BAD, to="/new"), app("b"))

    assert after.pushes > 1
    assert (held(outcome), hosts(outcome)) == (["a"], {"a": "/", "b": "/"})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"accepted": 3}',
        b'{"culprits": [{"ref": ["Ingress", "x", "y"]}]}',
        b'{"version": "\xff"}',
        pytest.param(b'{"a":' * 500_000, id="deep"),
    ],
)
def test_a_file_that_cannot_be_read_is_no_file(tmp_path: Path, content: bytes) -> None:
    """All units are tried again."""
    file = tmp_path / "quarantine.json"
    file.write_bytes(content)
    assert store.read(file) == store.Stored()


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"{}", b"\xff", b'{"hosts": 1}', b'{"hosts": "\xff"}', b'{"a":' * 500_000]
)
def test_a_last_accepted_form_that_is_damaged_is_none(damage: bytes) -> None:
    """Its Ingress is tried again, and the others are served."""
    world = World()
    world.run(app("a"), app("b"))
    world.run(app("a", BAD), app("b"))
    stored = world.pipeline.stored()
    culprits = tuple(dataclasses.replace(each, accepted=damage) for each in stored.culprits)

    outcome = World(dataclasses.replace(stored, culprits=culprits)).run(app("a", BAD), app("b"))

    assert (held(outcome), hosts(outcome)) == (["a"], {"b": "/"})


def test_a_form_without_claimants_is_served() -> None:
    """The version before did not store the claimant of a host: at its update the Ingress stays in its last accepted form."""
    world = World()
    world.run(app("a"), app("b"))
    world.run(app("a", BAD), app("b"))
    stored = dataclasses.replace(world.pipeline.stored(), version="0.0.1")
    [culprit] = stored.culprits
    form = json.loads(culprit.accepted or b"")
    for host in form["hosts"]:
        del host["claimant"]
    culprits = (dataclasses.replace(culprit, accepted=json.dumps(form).encode()),)

    outcome = World(dataclasses.replace(stored, culprits=culprits)).run(app("a", BAD), app("b"))

    assert (held(outcome), hosts(outcome)) == (["a"], {"a": "/", "b": "/"})


def test_a_form_is_known_by_its_content() -> None:
    """Age and diagnostics do not count, everything that Envoy gets does, and JSON preserves all of it."""
    one, same, other = unit(*app("a")), unit(*app("a")), unit(*app("a", to="/other"))
    assert forms.fingerprint(one) == forms.fingerprint(dataclasses.replace(same, retained=True, diagnostics=()))
    assert forms.fingerprint(one) != forms.fingerprint(other)
    again = forms.decode(forms.encode(one), one.owner)
    assert forms.fingerprint(again) == forms.fingerprint(one)
    assert (again.hosts, again.pools, again.certificates) == (one.hosts, one.pools, one.certificates)


@pytest.mark.parametrize(
    ("kind", "resources", "message", "expected"),
    [
        (CLUSTER, ["pool/default/b/19530/grpc"], "no", "b"),
        (SECRET, ["certificate/default/c"], "no", "c"),
        (ROUTE, ["https"], "Duplicate entry of domain b.example.com in route https", "b"),
        (ROUTE, ["https"], "virtual host ingress/default/c/host/c.example.com is bad", "c"),
        (ROUTE, ["https"], "Not supported field in StreamInfo: ONLY_IN_A", "a"),
        (ROUTE, ["https"], "no", ""),
        (LISTENER, ["https"], "error in bb.example.com", ""),
    ],
)
def test_units_to_which_a_rejection_points(kind: str, resources: list[str], message: str, expected: str) -> None:
    """It points to a unit by its own resource, its host, its name, or a word that no other unit has."""
    units = [unit(*app("a", "x-word:%ONLY_IN_A%")), unit(*app("b")), unit(*app("c"))]
    rejection = Rejection(kind, "1", dict.fromkeys(resources, "1"), (), certain=True, message=message)
    assert [found.ref.name for found in blame.named(rejection, units)] == list(expected)


@pytest.mark.parametrize(
    ("kind", "message", "counts"),
    [
        (LISTENER, "Error adding/updating listener(s) https: cannot bind '0.0.0.0:443': Address already in use", False),
        (LISTENER, "Error adding/updating listener(s) https: Failed to load dynamic module: no such file", False),
        (LISTENER, "Error adding/updating listener(s) https: multiple filter chains with cannot bind 'x'", True),
        (ROUTE, "Error adding/updating listener(s) https: cannot bind '0.0.0.0:443': Address already in use", True),
        (CLUSTER, "Error adding/updating cluster(s) a: Failed to load dynamic module: x", False),
        (
            CLUSTER,
            "Error adding/updating cluster(s) a: Failed to create filter config: Failed to initialize dynamic module",
            False,
        ),
        (ENDPOINT, "malformed IP address", False),
        (CLUSTER, "Error adding/updating cluster(s) a: bad", True),
    ],
)
def test_rejections_that_no_unit_causes(kind: str, message: str, *, counts: bool) -> None:
    """A rejection because of a port or a module blames no unit, and a tenant cannot imitate one."""
    rejection = Rejection(kind, "1", {"x": "1"}, (), certain=True, message=message)
    assert bool(blame.of_units([rejection])) is counts


Step = Mapping[str, tuple[bool, int]]


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.booleans(), st.integers(0, 2))), min_size=1, max_size=4
    ),
    st.sampled_from((2, 8)),
)
@examples(40)
def test_every_innocent_is_served_in_its_newest_form(steps: list[Step], fewest: int) -> None:
    """
    This holds however units are added, removed, broken and corrected, with a restart between any two steps, and from any number
    of suspects that are tried apart from others.
    """
    # Halving so few units apart takes many pushes, and what is still undecided after the last of them is held back.
    many = functools.partial(Search, max_pushes=1000)
    with mock.patch.object(quarantine, "FEWEST", fewest), mock.patch.object(quarantine, "Search", many):
        every_innocent_is_served(steps)


def every_innocent_is_served(steps: list[Step]) -> None:
    """Run the steps, and compare after each what is served with what should be."""
    world = World(says="no")
    last: dict[str, str] = {}
    for step in steps:
        apps: list[Any] = [app(n, BAD if bad else "x-good:1", to=f"/{to}") for n, (bad, to) in sorted(step.items())]
        outcome = world.run(*apps)
        bad = {name for name, (is_bad, _) in step.items() if is_bad}
        last = {n: p for n, p in last.items() if n in step} | {
            n: f"/{to}" for n, (_, to) in step.items() if n not in bad
        }
        assert held(outcome) == sorted(bad)
        assert hosts(outcome) == last
        world = World(world.pipeline.stored(), says="no")
        again = world.run(*apps)
        assert (held(again), hosts(again)) == (sorted(bad), last)
