"""What exists in the two Milvus clusters of a run: users, collections, and the names that change."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pymilvus import DataType, MilvusClient

from tests.consistency.records import ALLOWED, Change, Level, access_name
from tests.support.reads import DIMENSION

ROOT, ALICE, BOB, CAROL = "root", "alice", "bob", "carol"
PASSWORDS = {ROOT: "Milvus", ALICE: "alices-P4ssword", BOB: "bobs-P4ssword", CAROL: "carols-P4ssword"}
READERS, BOBS = "readers", "bobs"
"""The role of alice and carol, and that of bob, which changes take rights from."""

POOLS = ("A", "B")
"""The first Milvus is a cluster whose changes go mostly through Kiteway; those of the second one never do."""

OTHER = "other"
"""The second database of `A`."""

ALIAS, CYCLING = "moving", "cycling"
RING = (("default", "here"), ("default", "there"), (OTHER, "here"))
"""The names that one collection of `A` has in turn, by database."""

RINGED = "A/ring"
"""The collection with the names of `RING`."""


@dataclass(frozen=True)
class Place:
    """Where a name is."""

    pool: str
    database: str
    name: str

    def __str__(self) -> str:
        return f"{self.pool}/{self.database}/{self.name}"


PLAIN = Place("A", "default", "plain")
WRITTEN = {
    PLAIN: Level.BOUNDED,
    Place("A", "default", "strict"): Level.STRONG,
    Place("A", OTHER, "plain"): Level.BOUNDED,
    Place("B", "default", "plain"): Level.BOUNDED,
    Place("B", "default", "strict"): Level.STRONG,
}
"""The collections that are written to all the time, with their default levels. Several have the same name on purpose."""

MOVING = {pool: Place(pool, "default", ALIAS) for pool in POOLS}
"""The aliases; they move between ``plain`` and ``strict``."""


def levels() -> dict[str, Level]:
    """Return the default level of each collection that exists from the beginning."""
    return {str(place): level for place, level in WRITTEN.items()} | {RINGED: Level.BOUNDED}


def beginnings() -> list[Change]:
    """Return what each name that changes stands for at the beginning."""
    first = [Change(str(alias), str(Place(pool, "default", "plain")), 0.0, 0.0) for pool, alias in MOVING.items()]
    first.append(Change(str(Place("A", "default", CYCLING)), None, 0.0, 0.0))
    ring = [Place("A", *at) for at in RING]
    first += [Change(str(place), None if at else RINGED, 0.0, 0.0) for at, place in enumerate(ring)]
    allowed = [(BOB, PLAIN), (CAROL, PLAIN), (BOB, Place("B", "default", "plain"))]
    return first + [Change(access_name(user, str(place)), ALLOWED, 0.0, 0.0) for user, place in allowed]


def make_collection(client: MilvusClient, name: str, level: Level) -> None:
    """Make a loaded collection."""
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("block", DataType.INT64)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection(name, schema=schema, index_params=index, consistency_level=level.name.capitalize())


def prepare(pool: str, connect: Callable[[str], Any]) -> None:
    """
    Make users and collections of one Milvus.

    Args:
        pool: which one.
        connect: makes a client of root for a database.
    """
    client = connect("default")
    if pool == "A":
        client.create_database(OTHER)
    wanted = [(place.database, place.name, level) for place, level in WRITTEN.items() if place.pool == pool]
    if pool == "A":
        wanted.append((*RING[0], Level.BOUNDED))
    with ThreadPoolExecutor() as threads:  # a load takes seconds, most of which pass waiting
        for made in [threads.submit(make_collection, connect(at), name, level) for at, name, level in wanted]:
            made.result()
    client.create_alias("plain", ALIAS)
    for role in (READERS, BOBS):
        client.create_role(role)
        for privilege in ("Query", "Search") if role == READERS else ("Query",):
            client.grant_privilege(role, "Collection", privilege, PLAIN.name)
    for user, role in ((ALICE, READERS), (BOB, BOBS), (CAROL, READERS)):
        client.create_user(user, PASSWORDS[user])
        client.grant_role(user_name=user, role_name=role)


def reset(pool: str, connect: Callable[[str], Any]) -> None:
    """Give names and rights back what they had before an earlier run; see `beginnings`."""
    client = connect("default")
    client.alter_alias(PLAIN.name, ALIAS)
    client.grant_privilege(BOBS, "Collection", "Query", PLAIN.name)
    if pool == "B":
        return
    client.drop_collection(CYCLING)
    if CAROL not in client.list_users():
        client.create_user(CAROL, PASSWORDS[CAROL])
    client.grant_role(user_name=CAROL, role_name=READERS)
    for database, name in RING[1:]:
        if connect(database).has_collection(name):
            connect(database).rename_collection(name, RING[0][1], target_db=RING[0][0])
