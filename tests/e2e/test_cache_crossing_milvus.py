"""No answer crosses users, databases, collections, pools, aliases or privileges: pairs of reads on two real Milvus clusters."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import grpc
import pytest
from pymilvus.grpc_gen import milvus_pb2

from kiteway.envoy.binary import find_envoy
from kiteway.filter import filter_path, missing_reason
from tests.consistency.catalogue import (
    ALIAS,
    ALICE,
    BOB,
    BOBS,
    CAROL,
    OTHER,
    PASSWORDS,
    POOLS,
    RING,
    ROOT,
    WRITTEN,
    Place,
)
from tests.consistency.records import Level
from tests.consistency.requests import credentials, insert_request, query_privilege, read_request, rows_of, set_level
from tests.consistency.scene import Scene, balancers, scene
from tests.support.extras import needs_cluster
from tests.support.kiteway import wait_until
from tests.support.reads import service

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.milvus,
    pytest.mark.timeout(900),
    needs_cluster,
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]

PAIRS = int(os.environ.get("KITEWAY_PAIRS", "300"))
"""`make check-consistency` compares 2,000, which takes four minutes."""
_PAIRS_A_CHANGE = 100
_BLOCKS, _ROWS = 3, 4
_HERE = Place("A", *RING[0])
_ANSWERED = {grpc.StatusCode.OK, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED}
_LEVELS = (Level.DEFAULT, Level.DEFAULT, Level.BOUNDED, Level.EVENTUALLY)
_PLAIN, _STRICT = "plain", "strict"


@dataclass(frozen=True)
class Asked:
    """A read: who asks what of which pool; every part of it but the level makes another question."""

    pool: str
    user: str
    database: str
    name: str
    method: str
    block: int
    variant: int
    by_header: bool


class World:
    """Rows, aliases and privileges, which changes through Kiteway change."""

    def __init__(self, stubs: dict[str, Any]) -> None:
        self._stubs = stubs
        self._alias = dict.fromkeys(POOLS, _PLAIN)
        self._allowed = dict.fromkeys(POOLS, True)
        places = [*WRITTEN, _HERE]
        self._first = {place: 1000 * number for number, place in enumerate(places)}

    def fill(self, pool: str, direct: Any) -> None:
        """Insert the rows of a pool's collections, past Kiteway."""
        metadata = [credentials(ROOT, PASSWORDS[ROOT])]
        for place in (place for place in self._first if place.pool == pool):
            for block in range(_BLOCKS):
                request = insert_request(place.database, place.name, block, sorted(self._rows(place, block)))
                assert direct.Insert(request, timeout=60, metadata=metadata).insert_cnt == _ROWS

    def truth(self, asked: Asked) -> frozenset[int] | None:
        """Return the rows that a read must have; None: Milvus refuses it."""
        allowed = {
            ROOT: True,
            ALICE: True,
            CAROL: True,
            BOB: asked.method == "Query" and self._allowed[asked.pool],
        }[asked.user]
        # Milvus 2.3.5 checks privileges by the database of the header, whatever the message says.
        is_granted = (asked.database if asked.by_header else "default", asked.name) == ("default", _PLAIN)
        if asked.user != ROOT and not (is_granted and allowed):
            return None
        name = self._alias[asked.pool] if asked.name == ALIAS else asked.name
        return self._rows(Place(asked.pool, asked.database, name), asked.block)

    def change(self, source: random.Random) -> None:
        """Move an alias, or take or give a privilege."""
        pool = source.choice(POOLS)
        if source.random() < 0.5:
            target = _STRICT if self._alias[pool] == _PLAIN else _PLAIN
            self._call(pool, "AlterAlias", milvus_pb2.AlterAliasRequest(collection_name=target, alias=ALIAS))
            self._alias[pool] = target
        else:
            allow = not self._allowed[pool]
            self._call(pool, "OperatePrivilege", query_privilege(BOBS, _PLAIN, allow=allow))
            self._allowed[pool] = allow

    def _call(self, pool: str, method: str, request: Any) -> None:
        status = getattr(self._stubs[pool], method)(request, timeout=60, metadata=[credentials(ROOT, PASSWORDS[ROOT])])
        assert status.code == 0, status

    def _rows(self, place: Place, block: int) -> frozenset[int]:
        first = self._first[place] + _ROWS * block
        return frozenset(range(first, first + _ROWS))


class Reads:
    """Reads through Kiteway, each compared with what it must have."""

    def __init__(self, stubs: dict[str, Any], world: World) -> None:
        self._stubs = stubs
        self._world = world
        self.did: Counter[str] = Counter()
        self.wrong: list[str] = []

    def start(self, asked: Asked, level: Level) -> tuple[Asked, Any]:
        """Send a read."""
        request = read_request(
            asked.method, asked.database, asked.name, f"block == {asked.block} and id > -{asked.variant}"
        )
        set_level(request, level, 0)
        metadata = [credentials(asked.user, PASSWORDS[asked.user])]
        if asked.by_header:
            metadata.append(("dbname", asked.database))
        return asked, getattr(self._stubs[asked.pool], asked.method).future(request, timeout=60, metadata=metadata)

    def finish(self, asked: Asked, call: Any) -> None:
        """Compare its answer."""
        rows: frozenset[int] | None = None
        with contextlib.suppress(grpc.RpcError):
            answer = call.result()
            rows = None if answer.status.code else rows_of(asked.method, answer)
        did = str(dict(call.initial_metadata() or ()).get("kiteway-cache", "")).partition(";")[0]
        self.did[did] += 1
        expected = self._world.truth(asked)
        if rows != expected or call.code() not in _ANSWERED:
            self.wrong.append(f"{did}: {asked} has {rows}, must have {expected}, {call.code()}")


@pytest.fixture(scope="module")
def clusters() -> Iterator[Scene]:
    """Run two Milvus clusters with users, databases, and collections and aliases of the same names."""
    with asyncio.Runner() as runner:
        entered = scene(1)
        found = runner.run(entered.__aenter__())
        try:
            yield found
        finally:
            runner.run(entered.__aexit__(None, None, None))


def test_of_pairs_that_differ_in_one_thing_each_has_its_own_answer(clusters: Scene) -> None:
    """Both reads of a pair are sent at once, twice, and twice more; aliases move and privileges are taken away meanwhile."""
    source = random.Random(16)
    with (
        balancers(clusters, find_envoy(), cache=True) as (_, first, second, _),
        first.connect() as a,
        second.connect() as b,
    ):
        stubs = dict(zip(POOLS, (service(a), service(b)), strict=True))
        world = World(stubs)
        for pool in POOLS:
            with clusters.direct(pool) as connection:
                world.fill(pool, service(connection))
        _until_all_rows_are_there(Reads(stubs, world))
        reads = Reads(stubs, world)
        for number in range(PAIRS):
            if number % _PAIRS_A_CHANGE == 1:
                world.change(source)
            one = _random(source)
            two = _neighbour(source, one)
            pair = [one, two, one, two]
            source.shuffle(pair)
            for started in [reads.start(each, source.choice(_LEVELS)) for each in pair]:
                reads.finish(*started)
            for each in (one, two, one, two):
                reads.finish(*reads.start(each, source.choice(_LEVELS)))
            assert not reads.wrong, reads.wrong
    assert reads.did["hit"] > PAIRS, reads.did
    assert reads.did["joined"] > PAIRS // 20, reads.did


def _until_all_rows_are_there(reads: Reads) -> None:
    places = {(each.pool, each.database, each.name) for each in (*WRITTEN, _HERE)}
    everything = [
        Asked(*place, "Query", block, 1, by_header=False)
        for (pool, database, name), block in itertools.product(places, range(_BLOCKS))
        for place in [(pool, ROOT, database, name)]
    ]

    def are_there() -> bool:
        reads.wrong.clear()
        for each in everything:
            reads.finish(*reads.start(each, Level.STRONG))
        return not reads.wrong

    wait_until(are_there, "all rows are there")


_NAMES = {
    "A": [("default", _PLAIN), ("default", _STRICT), ("default", ALIAS), (OTHER, _PLAIN), RING[0]],
    "B": [("default", _PLAIN), ("default", _STRICT), ("default", ALIAS)],
}


def _random(source: random.Random) -> Asked:
    """Return a read; most are of what several users may read."""
    pool = source.choice(POOLS)
    user = source.choice((ROOT, ALICE, BOB, CAROL))
    database, name = ("default", _PLAIN) if source.random() < 0.5 else source.choice(_NAMES[pool])
    method = source.choice(("Query", "Search"))
    return Asked(
        pool, user, database, name, method, source.randrange(_BLOCKS), 1 + source.randrange(2), source.random() < 0.5
    )


def _neighbour(source: random.Random, asked: Asked) -> Asked:
    """Return a read that differs in one thing."""
    other = asked
    while other == asked:
        drawn = _random(source)
        place = {"database": drawn.database, "name": drawn.name}
        changes: list[dict[str, Any]] = [
            {"user": drawn.user},
            {"method": drawn.method},
            {"block": drawn.block},
            {"by_header": drawn.by_header},
        ]
        if (asked.database, asked.name) in _NAMES[drawn.pool]:
            changes.append({"pool": drawn.pool})
        if (drawn.database, drawn.name) in _NAMES[asked.pool]:
            changes.append(place)
        other = replace(asked, **source.choice(changes))
    return other
