"""How many endpoints the pools of a namespace may have together, and how many of them may drain."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from kiteway.envoy.ads import Resource
from kiteway.envoy.descriptors import Descriptors
from kiteway.model import Endpoint, EndpointState, Pool, PoolKey
from kiteway.pipeline.assignments import Assignments
from kiteway.resources import EndpointSlice, Object, load_documents
from kiteway.translate.shared.draining import Draining
from tests.e2e.traffic import pool
from tests.support.examples import examples
from tests.support.manifests import endpoint_slice, service, text

NOW = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
MOST = 5
SERVICES = ("a", "b", "c")
POOLS = tuple(
    dataclasses.replace(pool(), key=PoolKey(namespace, name, 19530), draining=60)
    for namespace in ("one", "other")
    for name in SERVICES
)


def objects(numbers: dict[tuple[str, str], int]) -> list[Object]:
    """Return Services and their EndpointSlices, with so many endpoints each."""
    made = []
    for (namespace, name), number in numbers.items():
        made.append(service(name, namespace))
        made.append(endpoint_slice([f"10.0.0.{at + 1}" for at in range(number)], 19530, name, namespace))
    return list(load_documents(text(made), "x.yaml").objects)


def slice_of(namespace: str, name: str, number: int) -> EndpointSlice:
    """Return the EndpointSlice of a Service with so many endpoints."""
    [found] = [each for each in objects({(namespace, name): number}) if isinstance(each, EndpointSlice)]
    return found


def counts(assignments: Assignments) -> dict[str, int]:
    """Return how many endpoints each pool has that do not drain."""
    return {
        f"{each.key.namespace}/{each.key.service}": sum(
            endpoint.state is EndpointState.READY for endpoint in assignments.of(each)
        )
        for each in POOLS
    }


def begun(numbers: dict[tuple[str, str], int]) -> tuple[Assignments, tuple[Resource, ...]]:
    """Return the assignments of all pools."""
    assignments = Assignments()
    assignments.limit(MOST)
    assignments.set_objects(objects(numbers))
    return assignments, assignments.replace(POOLS, NOW)


def test_the_first_pools_of_a_namespace_have_theirs() -> None:
    """What exceeds the limit is left out with an error about its Service, and another namespace has all of its endpoints."""
    assignments, _ = begun({("one", "a"): 3, ("one", "b"): 4, ("one", "c"): 1, ("other", "a"): 5})

    assert counts(assignments) == {"one/a": 3, "one/b": 2, "one/c": 0, "other/a": 5, "other/b": 0, "other/c": 0}
    said = [each for each in assignments.missing.values() if each.reason == "NamespaceLimit"]
    assert [(each.object and each.object.name, each.severity) for each in said] == [("b", "error"), ("c", "error")]
    assert said[0].message.startswith(
        "the port 19530 has 4 endpoints, and with them the namespace one has more than 5, which"
    )


def test_endpoints_come_back_when_there_is_room() -> None:
    """A change of one Service gives the others of its namespace what they may have now, and no error stays."""
    assignments, _ = begun({("one", "a"): 5, ("one", "b"): 4})
    assert counts(assignments)["one/b"] == 0
    changed = assignments.take_slices([], [slice_of("one", "a", 1)])
    assert [each.key.service for each in changed] == ["a"]

    assignments.update(changed, NOW)

    assert (counts(assignments)["one/a"], counts(assignments)["one/b"]) == (1, 4)
    assert [each.reason for each in assignments.missing.values()] == []


@examples(60)
@given(
    st.lists(
        st.tuples(st.sampled_from(["one", "other"]), st.sampled_from(SERVICES), st.integers(0, 7)),
        min_size=1,
        max_size=8,
    )
)
def test_changes_one_by_one_come_to_the_same_as_all_at_once(changes: list[tuple[str, str, int]]) -> None:
    """Whatever changed before, a namespace has what it would have at a start, and never more than its limit."""
    everything = {(each.key.namespace, each.key.service): 2 for each in POOLS}
    assignments, _ = begun(everything)
    for namespace, name, number in changes:
        everything[namespace, name] = number
        assignments.update(assignments.take_slices([], [slice_of(namespace, name, number)]), NOW)
        found = Counter[str]()
        for key, ready in counts(assignments).items():
            found[key.partition("/")[0]] += ready
        assert max(found.values()) <= MOST

    assert counts(assignments) == counts(begun(everything)[0])


def test_so_many_endpoints_of_a_namespace_drain() -> None:
    """Endpoints that change all the time leave a limited number behind: those that were removed last, of all pools together."""
    draining = Draining()
    draining.most = MOST

    def drain(which: Pool, numbers: Iterable[int], second: int) -> list[str]:
        there = tuple(Endpoint(f"10.0.0.{number:03}", 19530) for number in numbers)
        found = draining.update(which, there, NOW + dt.timedelta(seconds=second))
        return [each.address[-3:] for each in found if each.state is EndpointState.DRAINING]

    first, second, other = POOLS[0], POOLS[1], POOLS[3]
    for number in range(20):
        left = drain(first, [number], number)
    assert left == ["014", "015", "016", "017", "018"]
    drain(second, [1, 2, 3], 20)
    assert drain(second, [], 21) == []
    drain(other, [1, 2, 3], 20)
    assert drain(other, [], 21) == ["001", "002", "003"]
    draining.keep({second.key, other.key})
    drain(second, [1, 2, 3], 22)
    assert drain(second, [], 23) == ["001", "002", "003"]


NAMESPACES = ("one", "other", "third")
WIDE = tuple(
    dataclasses.replace(each, key=each.key._replace(namespace=name)) for name in NAMESPACES for each in POOLS[:3]
)
TOTAL = 9


def shared(numbers: dict[tuple[str, str], int]) -> Assignments:
    """Return the assignments of three namespaces, when Envoy can hold nine endpoints of them together."""
    assignments = Assignments(Descriptors(connections=0, endpoints=TOTAL, draining=2))
    assignments.limit(MOST)
    assignments.set_objects(objects(numbers))
    assignments.replace(WIDE, NOW)
    return assignments


def ready(assignments: Assignments) -> dict[str, int]:
    """Return how many endpoints each namespace has that do not drain."""
    found = Counter[str]()
    for each in WIDE:
        found[each.key.namespace] += sum(one.state is EndpointState.READY for one in assignments.of(each))
    return dict(found)


def test_namespaces_share_what_envoy_can_hold() -> None:
    """The one with few endpoints has all of its own, the others have the same number, with an error that says so."""
    assignments = shared({("one", "a"): 1, ("other", "a"): 4, ("other", "b"): 1, ("third", "a"): 5})
    assert ready(assignments) == {"one": 1, "other": 4, "third": 4}
    said = {key.namespace: each for key, each in assignments.missing.items() if each.reason == "EndpointLimit"}
    assert set(said) == {"other", "third"}
    assert "it can have 9 endpoints of all namespaces" in said["third"].message
    assert "each namespace may have 4; of the 5 endpoints of the port 19530, 4 are used." in said["third"].message

    assignments.update(assignments.take_slices([], [slice_of("other", "a", 2)]), NOW)
    assert ready(assignments) == {"one": 1, "other": 3, "third": 5}
    assert not [each for each in assignments.missing.values() if each.reason == "EndpointLimit"]


@examples(60)
@given(
    st.lists(
        st.tuples(st.sampled_from(NAMESPACES), st.sampled_from(SERVICES), st.integers(0, 7)), min_size=1, max_size=8
    )
)
def test_shares_do_not_depend_on_the_order_of_changes(changes: list[tuple[str, str, int]]) -> None:
    """Each namespace may have the largest number that fits for all, whatever changed before, and in a new process too."""
    everything = {(namespace, name): 1 for namespace in NAMESPACES for name in SERVICES}
    assignments = shared(everything)
    for namespace, name, number in changes:
        everything[namespace, name] = number
        assignments.update(assignments.take_slices([], [slice_of(namespace, name, number)]), NOW)
        found = ready(assignments)
        wanted = Counter[str]()
        for (whose, _), many in everything.items():
            wanted[whose] += many
        share = max(n for n in range(MOST + 1) if sum(min(n, many) for many in wanted.values()) <= TOTAL)
        assert found == {whose: min(share, wanted[whose]) for whose in NAMESPACES}
        drain = sum(one.state is EndpointState.DRAINING for each in WIDE for one in assignments.of(each))
        assert drain <= 2
    assert ready(assignments) == ready(shared(everything))
