"""Mutations of a tenant's objects: the same for the same seed, and in every field."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.attack.mutate import Mutation, mutate
from tests.attack.prey import prey
from tests.e2e.traffic import Backend


def _mutants(seed: int, count: int) -> tuple[list[list[dict[str, Any]]], list[Mutation]]:
    chance, backend = random.Random(seed), Backend(port=1, health_port=2)
    tenants = [prey(number, backend, chance) for number in range(count)]
    return tenants, [mutate(objects, chance) for objects in tenants]


def _without_keys(tenants: list[list[dict[str, Any]]]) -> str:
    # Certificates are made anew in each run; what is mutated is not.
    return json.dumps([[each for each in objects if each["kind"] != "Secret"] for objects in tenants])


def test_a_seed_gives_the_same_mutants_again() -> None:
    """A run can be repeated by its seed."""
    (tenants, done), (again, done_again) = _mutants(7, 300), _mutants(7, 300)

    assert list(map(str, done)) == list(map(str, done_again))
    assert _without_keys(tenants) == _without_keys(again)
    assert list(map(str, _mutants(8, 300)[1])) != list(map(str, done))


def test_every_field_of_every_kind_is_mutated() -> None:
    """Four thousand mutations, fewer than a run makes, reach every field of a tenant's objects."""
    chance, backend = random.Random(1), Backend(port=1, health_port=2)
    fields = {
        (str(each["kind"]), path) for _ in range(50) for each in prey(0, backend, chance) for path in _leaves(each)
    }

    _, done = _mutants(1, 4_000)
    mutated = {(mutation.kind, mutation.path) for mutation in done}

    assert {(kind, path) for kind, path in fields if not _covered(kind, path, mutated)} == set()


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = {found for key, each in entries for found in _leaves(each, (*path, key))}
    return inner or ({path} - {("kind",), ("apiVersion",), ("metadata", "namespace")})


def _covered(kind: str, path: tuple[str | int, ...], mutated: set[tuple[str, tuple[str | int, ...]]]) -> bool:
    """A field is reached by itself, or in the JSON of an annotation."""
    return any(one == kind and other[: len(path)] == path for one, other in mutated)
