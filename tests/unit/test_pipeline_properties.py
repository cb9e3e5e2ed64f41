"""A round that uses cached results gives, byte for byte, the result of a round without a cache."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kiteway.certificates.create import create_self_signed
from kiteway.diagnostics import ObjectRef
from kiteway.envoy.ads import ENDPOINT, Snapshot
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.build import build, build_endpoints
from kiteway.model import Certificate, Challenge, HTTPChallenge, Pool, TLSChallenge, differ_by_path
from kiteway.pipeline.pipeline import Outcome, Pipeline
from kiteway.quarantine.quarantine import Quarantine
from kiteway.resources import EndpointSlice, Loaded, load_object
from kiteway.sources.files import SourceContent
from kiteway.translate import Endpoints, Options
from tests.support.examples import examples
from tests.support.manifests import Manifest
from tests.unit.test_translate_properties import NOW, worlds

SETTINGS = EnvoySettings(grpc_port=19530, proxy_protocol=True, filter_path=Path("/filter.so"))
_PAIR = create_self_signed(["a.example.com"])
_SHOWN = Certificate("shown", _PAIR.certificate, _PAIR.key, ("a.example.com",), NOW, NOW, "ECDSA", "", False, None)
CHALLENGES: list[tuple[Challenge, ...]] = [
    (),
    (HTTPChallenge("a.example.com", "token", "token.proof"),),
    (TLSChallenge("a.example.com", _SHOWN),),
]

Cluster = Mapping[ObjectRef, Loaded]


def read(manifests: list[Manifest]) -> Cluster:
    """Read each manifest once, as the sources do: what did not change is the very object of before."""
    return {_ref(manifest): load_object(dict(manifest)) for manifest in manifests}


def _ref(manifest: Manifest) -> ObjectRef:
    metadata = manifest["metadata"]
    return ObjectRef(manifest["kind"], metadata["namespace"], metadata["name"])


def resources(cluster: Cluster) -> SourceContent:
    """Return what a source would give."""
    found = [loaded for _, loaded in sorted(cluster.items())]
    return SourceContent(
        tuple(object_ for loaded in found for object_ in loaded.objects),
        tuple(d for loaded in found for d in loaded.diagnostics),
        tuple(ref for loaded in found for ref in loaded.refused),
    )


def run(pipeline: Pipeline, cluster: Cluster, challenges: tuple[Challenge, ...]) -> Outcome:
    """Run a full round, which Envoy accepts."""
    outcome = pipeline.run(resources(cluster), {}, NOW, Options(), challenges)
    pipeline.judge(Quarantine.accept, NOW)
    return outcome


def bodies(snapshot: Snapshot) -> dict[tuple[str, str], bytes]:
    """Return every resource's bytes by type and name."""
    return {(kind, name): resource.body for kind, of_kind in snapshot.items() for name, resource in of_kind.items()}


def whole(outcome: Outcome, cluster: Cluster) -> Snapshot:
    """Serialise the outcome's model and the cluster's endpoints, each message as a whole."""
    pools = outcome.model.pools
    endpoints = Endpoints(resources(cluster).objects).table(pools)
    return Snapshot.of([*build(outcome.model, SETTINGS), *build_endpoints(pools, endpoints)])


@dataclass(frozen=True)
class Moment:
    """What there is, and what a CA shall see. What changed says more of it than all there is."""

    cluster: Cluster = field(repr=False)
    challenges: tuple[Challenge, ...] = field(repr=False)
    changed: tuple[ObjectRef, ...] = ()


@st.composite
def histories(draw: st.DrawFn) -> list[Moment]:
    """Draw a cluster and what becomes of it: some objects come, go or change at a time."""
    now, other = dict(read(draw(worlds()))), read(draw(worlds()))
    known = sorted(now.keys() | other.keys())
    found = [Moment(dict(now), draw(st.sampled_from(CHALLENGES)))]
    for _ in range(draw(st.integers(1, 4))):
        changed = draw(st.lists(st.sampled_from(known), max_size=3)) if known else []
        for ref in changed:
            if ref in other and draw(st.booleans()):
                now[ref] = other[ref]
            else:
                now.pop(ref, None)
        found.append(Moment(dict(now), draw(st.sampled_from(CHALLENGES)), tuple(changed)))
    return found


@given(histories())
@examples(60)
def test_a_warm_round_gives_the_bytes_of_a_whole_one(history: list[Moment]) -> None:
    """
    After any history the bytes are those of the whole model serialised, and the versions those of a cold
    pipeline.
    """
    warm = Pipeline(SETTINGS)
    for moment in history:
        cluster, challenges = moment.cluster, moment.challenges
        outcome = run(warm, cluster, challenges)
        assert bodies(outcome.snapshot) == bodies(whole(outcome, cluster))
        if not outcome.retained:
            cold = run(Pipeline(SETTINGS), cluster, challenges)
            # Paths that were canonical once stay so; a cold pipeline does not know of them.
            canonical = outcome.model.canonical_paths
            # Nor does it know of the endpoints before these, which other epochs follow.
            pools = tuple(map(_without_epoch, cold.model.pools))
            assert tuple(map(_without_epoch, outcome.model.pools)) == pools
            assert outcome.model == dataclasses.replace(
                cold.model, canonical_paths=canonical, pools=outcome.model.pools
            )
            assert outcome.diagnostics == cold.diagnostics
            if canonical == differ_by_path(cold.model.hosts) and outcome.model.pools == cold.model.pools:
                assert outcome.snapshot.diff(cold.snapshot) == {}
                assert outcome.snapshot.version == cold.snapshot.version


def _without_epoch(pool: Pool) -> Pool:
    return dataclasses.replace(pool, cache=dataclasses.replace(pool.cache, epoch=0)) if pool.cache else pool


def _slices(cluster: Cluster) -> dict[ObjectRef, Any]:
    return {ref: each for ref, loaded in cluster.items() for each in loaded.objects if isinstance(each, EndpointSlice)}


@given(histories())
@examples(60)
def test_endpoints_that_change_alone_give_what_a_round_does(history: list[Moment]) -> None:
    """
    Slices that are taken without a translation give the assignments and diagnostics of a full round, and the
    next one agrees.
    """
    warm = Pipeline(SETTINGS)
    first, *rest = history
    cluster, challenges = first.cluster, first.challenges
    run(warm, cluster, challenges)
    for moment in rest:
        before, after = _slices(cluster), _slices(moment.cluster)
        gone = [before[ref] for ref in before.keys() - after.keys()]
        fresh = [each for ref, each in after.items() if before.get(ref) is not each]
        kept = {ref: each for ref, each in cluster.items() if ref not in before}
        cluster = kept | {ref: moment.cluster[ref] for ref in after}
        alone = warm.run_slices(gone, fresh, NOW)
        assert alone is not None
        assert bodies(alone.snapshot) == bodies(whole(alone, cluster))
        again = run(warm, cluster, challenges)
        assert again.snapshot.diff(alone.snapshot) == {}
        assert {d for d in again.diagnostics if d.reason == "NoEndpoints"} == {
            d for d in alone.diagnostics if d.reason == "NoEndpoints"
        }
        assert again.snapshot[ENDPOINT].version == alone.snapshot[ENDPOINT].version
