"""
Following one collection: a broken watch is resumed, and the collection is listed again only if its version
has expired.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, cast

import pytest

from kiteway.backoff import Backoff
from kiteway.kubernetes import reflector
from kiteway.kubernetes.api import Api, ApiError, ApiUnavailableError
from kiteway.kubernetes.reflector import Reflector

Step = list[dict[str, Any]] | Exception
Event = tuple[str, dict[str, Any]]


def named(name: str, version: str) -> dict[str, Any]:
    """Return an object."""
    return {"metadata": {"name": name, "resourceVersion": version}}


class Script:
    """An API server that answers as written, and then hangs."""

    def __init__(self, lists: Iterable[Step], watches: Iterable[list[Event | Exception]]) -> None:
        self.asked: list[str] = []
        self._lists = iter(lists)
        self._watches = iter(watches)

    async def list(self, _path: str, _selector: str) -> tuple[list[dict[str, Any]], str]:
        """Answer the next list; its version is the number of objects in it."""
        self.asked.append("list")
        step = next(self._lists)
        if isinstance(step, Exception):
            raise step
        return step, f"v{len(step)}"

    async def watch(self, _path: str, _selector: str, version: str) -> AsyncIterator[Event]:
        """Answer the next watch."""
        self.asked.append(f"watch {version}")
        steps = next(self._watches, None)
        if steps is None:
            await asyncio.Event().wait()
            return
        for step in steps:
            if isinstance(step, Exception):
                raise step
            yield step


class Names:
    """A sink that keeps names."""

    def __init__(self, *names: str) -> None:
        self.names = set(names)

    def replace(self, objects: Iterable[dict[str, Any]]) -> None:
        """Take all."""
        self.names = {each["metadata"]["name"] for each in objects}

    def put(self, object_: dict[str, Any]) -> None:
        """Take one."""
        self.names.add(object_["metadata"]["name"])

    def drop(self, object_: dict[str, Any]) -> None:
        """Forget one."""
        self.names.discard(object_["metadata"]["name"])


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every pause a turn of the event loop."""
    monkeypatch.setattr(Backoff, "pause", lambda _: 0.0)


def follow(script: Script, sink: Names, until: Callable[[Reflector], bool], **options: bool) -> Reflector:
    """Follow the script until something is so."""

    async def run() -> Reflector:
        found = Reflector(cast("Api", script), "/things", sink, lambda: None, optional=options.get("optional", False))
        found.known = options.get("known", False)
        task = asyncio.create_task(found.run())
        async with asyncio.timeout(60):
            while not until(found):  # noqa: ASYNC110 - the reflector has no event for it
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return found

    return asyncio.run(run())


def test_a_broken_watch_is_resumed() -> None:
    """After a break the watch goes on from the last version seen; nothing is listed again."""
    script = Script(
        [[named("a", "1")]],
        [[("ADDED", named("b", "7")), ApiUnavailableError("broken")], [("DELETED", named("a", "8"))]],
    )
    sink = Names()

    follow(script, sink, lambda _: sink.names == {"b"} and script.asked[-1] == "watch 8")

    assert script.asked == ["list", "watch v1", "watch 7", "watch 8"]


def test_an_expired_version_is_listed_again() -> None:
    """A 410 costs one list, and the sink then has exactly the listed objects."""
    script = Script([[named("a", "1")], [named("b", "2"), named("c", "3")]], [[ApiError(410, "Expired", "too old")]])
    sink = Names()

    follow(script, sink, lambda _: sink.names == {"b", "c"} and script.asked[-1] == "watch v2")

    assert script.asked == ["list", "watch v1", "list", "watch v2"]


def test_a_refusal_keeps_the_objects_last_seen() -> None:
    """Without permission the objects stay, and the problem is reported until the permission is back."""
    script = Script([[named("a", "1")]], [[ApiError(403, "Forbidden", "no")]] * 2)
    sink = Names()
    said: list[tuple[str, bool]] = []

    def over(found: Reflector) -> bool:
        said.append((found.problem, found.forbidden))
        return len(script.asked) == 4

    follow(script, sink, over)

    assert sink.names == {"a"}
    assert ("no", True) in said
    assert script.asked == ["list", "watch v1", "watch v1", "watch v1"]


def test_an_absent_kind_is_none() -> None:
    """In a cluster without the kind there are no objects, and the collection counts as read."""
    sink = Names("stale")
    script = Script([ApiError(404, "NotFound", "no such kind")] * 100, [])

    found = follow(script, sink, lambda each: each.synced, optional=True)

    assert sink.names == set()
    assert not found.problem


def test_a_known_kind_is_not_gone_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The objects of a known kind stay while a starting server does not know it yet; after a minute they are
    removed.
    """
    sink = Names("kept")
    script = Script([ApiError(404, "NotFound", "no such kind")] * 100, [])

    found = follow(script, sink, lambda each: bool(each.problem), optional=True, known=True)

    assert sink.names == {"kept"}
    assert not found.synced

    monkeypatch.setattr(reflector, "ABSENT_PAUSE", 0.0)
    follow(
        Script([ApiError(404, "NotFound", "no such kind")] * 100, []),
        sink,
        lambda each: each.synced,
        optional=True,
        known=True,
    )

    assert sink.names == set()


def test_a_required_kind_is_waited_for() -> None:
    """A 404 for a kind that every cluster has is a problem, never an empty collection."""
    sink = Names("kept")
    script = Script([ApiError(404, "NotFound", "what?")] * 100, [])

    found = follow(script, sink, lambda each: bool(each.problem))

    assert sink.names == {"kept"}
    assert not found.synced
