"""Snapshots: what they share, how they compare, and that they print no content."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiteway._proto.envoy.config.cluster.v3.cluster_pb2 import Cluster
from kiteway._proto.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from kiteway.envoy.ads import snapshot as module
from kiteway.envoy.ads.snapshot import CLUSTER, ENDPOINT, SECRET, Resource, ResourceSet, Snapshot

contents = st.dictionaries(st.text(max_size=3), st.sampled_from(["1", "2"]), max_size=8)


def resources(versions: dict[str, str]) -> ResourceSet:
    """Return resources of these versions."""
    return ResourceSet(Resource(name, version, (b"",)) for name, version in versions.items())


def test_equal_content_has_an_equal_version() -> None:
    """A resource is named by its message and its version is a hash of the content."""
    one, same, other = (Resource.of(Cluster(name="a", alt_stat_name=text)) for text in ("x", "x", "y"))

    assert one == same
    assert one.name == "a"
    assert one.version != other.version
    assert Resource.of(ClusterLoadAssignment(cluster_name="b")).name == "b"


def test_a_body_is_never_printed() -> None:
    """Printing a snapshot, or a part of it, shows no private key."""
    secret = Resource("s", "1", (b"PRIVATE",))
    snapshot = Snapshot({SECRET: [secret]})

    assert "PRIVATE" not in repr(secret) + repr(snapshot) + repr(snapshot[SECRET])


def test_replacing_one_resource_hashes_one_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed endpoint among 10,000 changes one entry: the others are not hashed, and no other bucket is copied."""
    snapshot = Snapshot({ENDPOINT: [Resource(str(number), "1", (b"",)) for number in range(10_000)]})
    weighed: list[str] = []
    weight = module._weight

    def counting(resource: Resource) -> int:
        weighed.append(resource.name)
        return weight(resource)

    monkeypatch.setattr(module, "_weight", counting)
    changed = snapshot.replace(ENDPOINT, [Resource("7", "2", (b"",))])

    assert set(weighed) == {"7"}
    pairs = zip(snapshot[ENDPOINT]._buckets, changed[ENDPOINT]._buckets, strict=True)
    assert sum(old is not new for old, new in pairs) == 1
    assert changed.diff(snapshot) == {ENDPOINT: ["7"]}


@given(contents, contents)
def test_replacing_equals_building_anew(old: dict[str, str], new: dict[str, str]) -> None:
    """However a value was built, equal content compares, counts and hashes equal."""
    before, after = resources(old), resources(new)
    changed = [after[name] for name in after.names_changed_since(before) if name in after]
    replaced = before.replace(changed, [name for name in before if name not in after])

    assert replaced == after
    assert replaced.version == after.version
    assert len(replaced) == len(new)
    assert list(replaced.names_changed_since(after)) == []


@given(contents, contents)
def test_the_difference_is_exact(old: dict[str, str], new: dict[str, str]) -> None:
    """The difference has exactly the resources that are new, removed or of another version."""
    expected = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}

    assert sorted(expected) == sorted(resources(new).names_changed_since(resources(old)))


def test_two_resources_of_one_name_are_refused() -> None:
    """Envoy rejects a response with a name twice, so it is an error here."""
    with pytest.raises(ValueError, match="two resources are named 'a'"):
        Snapshot({CLUSTER: [Resource("a", "1", (b"",)), Resource("a", "2", (b"",))]})


def test_a_type_that_is_not_served_is_refused() -> None:
    """A mistyped type URL would never reach Envoy."""
    with pytest.raises(ValueError, match="not served"):
        Snapshot({"nonsense": []})
