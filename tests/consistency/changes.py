"""The clients that write, and those that change what names stand for and what users may read."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping
from typing import Any

from pymilvus.grpc_gen import milvus_pb2

from tests.consistency.catalogue import (
    BOB,
    BOBS,
    CAROL,
    CYCLING,
    MOVING,
    PASSWORDS,
    PLAIN,
    READERS,
    RING,
    RINGED,
    ROOT,
    WRITTEN,
    Place,
    make_collection,
)
from tests.consistency.client import Arm, Caller, Ledger
from tests.consistency.lead import LEAD_SECONDS, Lead
from tests.consistency.records import ALLOWED, Change, Level, Write, access_name, now
from tests.consistency.requests import encoded, insert_request, query_privilege

_CYCLING_ROWS = 5
_CYCLING_LIFE = 6.0
"""Seconds for which a collection of that name lives."""

_HERE_PAUSE = 4.0
"""Seconds between two changes through Kiteway; each stops the cache for a little more than 1 s."""

_AGAIN_SHARE = 0.5
_AGAIN_PAUSE = 2.0
"""Seconds until the same change follows once more, in some cases: reads that filled the cache again are under way then."""

_ELSEWHERE_SHARE = 0.25
"""The share of `A`'s changes that do not go through Kiteway."""

_ELSEWHERE_PAUSE = 13.0
"""Seconds between two changes of `B`: more than twice the bound, so that each of them is over before the next one."""


class Writers:
    """Inserts of one arm in one pool."""

    def __init__(self, ledger: Ledger, pool: str) -> None:
        """Describe them."""
        self._ledger = ledger
        self._places = [place for place in WRITTEN if place.pool == pool]

    def write(self, caller: Caller) -> None:
        """Insert rows, one by one, into each collection in turn."""
        for place in itertools.cycle(self._places):
            if self._ledger.stop.wait(caller.arm.write_pause):
                return
            block, key = self._ledger.next_row(place)
            write = Write(str(place), block, key)
            self._ledger.recorded.writes.append(write)
            reply = caller.call("Insert", insert_request(place.database, place.name, block, [key]))
            if reply.answer is None:
                self._ledger.count(caller.arm.name, reply)
                continue
            write.timestamp = reply.answer.timestamp
            write.acknowledged = now()
            self._ledger.acknowledged(place, write.timestamp)


class Changes:
    """Structural calls, each recorded before it is sent and when it is answered."""

    def __init__(self, ledger: Ledger, lead: Lead) -> None:
        """Nothing has changed yet; `lead` passes before each change of `A`."""
        self._ledger = ledger
        self._lead = lead
        self._lost = False
        self._ring = 0
        self._aliases = dict.fromkeys(MOVING, "plain")
        self._allowed = {(pool, BOB): True for pool in MOVING}

    def of_first(self, here: Caller, elsewhere: Caller) -> None:
        """Change `A`, mostly through Kiteway."""
        kinds: tuple[Callable[[Caller], None], ...] = (
            self._move,
            self._rename,
            self._privilege,
            self._move,
            self._user,
        )
        for kind in itertools.cycle(kinds):
            if self._ledger.stop.wait(_HERE_PAUSE):
                return
            kind(elsewhere if random.random() < _ELSEWHERE_SHARE else here)
            if random.random() < _AGAIN_SHARE:
                if self._ledger.stop.wait(_AGAIN_PAUSE):
                    return
                kind(here)

    def of_second(self, elsewhere: Caller) -> None:
        """Change `B`, never through Kiteway."""
        for kind in itertools.cycle((self._move, self._privilege)):
            if self._ledger.stop.wait(_ELSEWHERE_PAUSE):
                return
            kind(elsewhere)

    def cycle(self, here: Caller, connect: Callable[[], Any]) -> None:
        """Make and drop a collection of the same name again and again."""
        place = Place("A", "default", CYCLING)
        for number in itertools.count(1):
            target = f"{place}#{number}"
            self._ledger.recorded.levels[target] = Level.BOUNDED
            made = self._begin({str(place): target}, here.arm)
            keys = self._ledger.spare_keys(_CYCLING_ROWS)
            writes = [Write(target, 0, key) for key in keys]
            self._ledger.recorded.writes += writes
            if not self._make(connect):
                return
            self._end(made)
            reply = here.call("Insert", insert_request(place.database, place.name, 0, keys))
            if reply.answer is not None:
                for write in writes:
                    write.timestamp, write.acknowledged = reply.answer.timestamp, now()
            if self._ledger.stop.wait(_CYCLING_LIFE):
                return
            dropped = self._begin({str(place): None}, here.arm)
            request = milvus_pb2.DropCollectionRequest(db_name=place.database, collection_name=place.name)
            while not self._do(here, "DropCollection", request, dropped):
                if self._ledger.stop.wait(1.0):
                    return

    def _make(self, connect: Callable[[], Any]) -> bool:
        """Make the collection, however often a fault prevents it; tell whether there is time left."""
        while not self._ledger.stop.is_set():
            try:
                client = connect()
                if not client.has_collection(CYCLING):
                    make_collection(client, CYCLING, Level.BOUNDED)
                client.load_collection(CYCLING)
                client.close()
            except Exception:  # noqa: BLE001 - PyMilvus raises many kinds, and each of them means the same here
                self._ledger.stop.wait(1.0)
            else:
                return True
        return False

    def _move(self, caller: Caller) -> None:
        pool = caller.pool
        target = "strict" if self._aliases[pool] == "plain" else "plain"
        request = milvus_pb2.AlterAliasRequest(collection_name=target, alias=MOVING[pool].name)
        changes = self._begin({str(MOVING[pool]): str(Place(pool, "default", target))}, caller.arm)
        if self._do(caller, "AlterAlias", request, changes):
            self._aliases[pool] = target

    def _rename(self, caller: Caller) -> None:
        old, new = RING[self._ring], RING[(self._ring + 1) % len(RING)]
        request = milvus_pb2.RenameCollectionRequest(db_name=old[0], oldName=old[1], newName=new[1], newDBName=new[0])
        changes = self._begin({str(Place("A", *new)): RINGED, str(Place("A", *old)): None}, caller.arm)
        # A refusal: an earlier call without an answer has done it.
        if self._do(caller, "RenameCollection", request, changes) or not self._lost:
            self._ring = (self._ring + 1) % len(RING)

    def _privilege(self, caller: Caller) -> None:
        allow = not self._allowed[caller.pool, BOB]
        name = access_name(BOB, str(Place(caller.pool, "default", PLAIN.name)))
        changes = self._begin(
            {name: ALLOWED if allow else None}, caller.arm, BOB if caller.pool == PLAIN.pool else ROOT
        )
        if self._do(caller, "OperatePrivilege", query_privilege(BOBS, PLAIN.name, allow=allow), changes):
            self._allowed[caller.pool, BOB] = allow

    def _user(self, caller: Caller) -> None:
        name = access_name(CAROL, str(PLAIN))
        changes = self._begin({name: None}, caller.arm, CAROL)
        self._do(caller, "DeleteCredential", milvus_pb2.DeleteCredentialRequest(username=CAROL), changes)
        if self._ledger.stop.wait(_HERE_PAUSE):
            return
        created = milvus_pb2.CreateCredentialRequest(username=CAROL, password=encoded(PASSWORDS[CAROL]))
        given = milvus_pb2.OperateUserRoleRequest(
            username=CAROL, role_name=READERS, type=milvus_pb2.OperateUserRoleType.AddUserToRole
        )
        changes = self._begin({name: ALLOWED}, caller.arm, CAROL)
        caller.call("CreateCredential", created)
        self._do(caller, "OperateUserRole", given, changes)

    def _begin(self, targets: Mapping[str, str | None], arm: Arm, user: str = ROOT) -> list[Change]:
        name = str(PLAIN) if user != ROOT else next(iter(targets))
        if name.startswith(PLAIN.pool):
            with self._lead.passing():
                self._ledger.changed = (now(), user, name)
                self._ledger.stop.wait(LEAD_SECONDS)
        changes = [Change(name, target, now(), through=arm.name) for name, target in targets.items()]
        self._ledger.recorded.changes += changes
        return changes

    def _do(self, caller: Caller, method: str, request: Any, changes: list[Change]) -> bool:
        reply = caller.call(method, request)
        self._lost = reply.lost
        if reply.answer is None:
            self._ledger.count(caller.arm.name, reply)
            return False
        self._end(changes)
        return True

    def _end(self, changes: list[Change]) -> None:
        for change in changes:
            change.acknowledged = now()
