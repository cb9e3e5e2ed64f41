"""A watched collection: list, watch, resume, and list again only when the server has dropped the version (410)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

import structlog

from kiteway.backoff import Backoff
from kiteway.kubernetes.api import Api, ApiError, ApiUnavailableError

_log = structlog.get_logger(__name__)

FIRST_PAUSE: Final = 0.5
"""Seconds before the second attempt."""
LONGEST_PAUSE: Final = 15.0
ABSENT_PAUSE: Final = 60.0
"""The most seconds between two requests for a kind that the cluster does not have. A kind that it had must be missing for
as long before it counts as absent: an API server that starts does not know its CRDs yet."""

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_GONE: Final = 410


class Sink(Protocol):
    """Receives the objects of a reflector."""

    def replace(self, objects: Iterable[dict[str, Any]]) -> None:
        """Take the whole collection."""

    def put(self, object_: dict[str, Any]) -> None:
        """Take a new or changed object."""

    def drop(self, object_: dict[str, Any]) -> None:
        """Forget an object."""


class Reflector:
    """
    Copies a collection of the API server into a sink and keeps it up to date.

    A broken watch is resumed at its last version. The collection is listed again only when the server no longer has that
    version (410), so an outage costs no list.

    Attributes:
        synced: whether the whole collection was read once.
        problem: why it cannot be read now; empty while it can.
        forbidden: whether the problem is a missing permission.
        known: whether the kind is known to exist; set if the sink was filled from a file.
    """

    def __init__(
        self,
        api: Api,
        path: str,
        sink: Sink,
        notify: Callable[[], None],
        *,
        selector: str = "",
        optional: bool = False,
        forbidden_is_empty: bool = False,
    ) -> None:
        """
        Prepare to watch ``path``.

        Args:
            api: the connection.
            path: the collection.
            sink: takes the objects.
            notify: called when ``synced`` or ``problem`` changes.
            selector: a field selector.
            optional: whether a missing kind (404) counts as an empty collection.
            forbidden_is_empty: whether a forbidden collection counts as empty.
        """
        self.path = path
        self.synced = False
        self.problem = ""
        self.forbidden = False
        self.known = False
        self._api = api
        self._sink = sink
        self._notify = notify
        self._selector = selector
        self._absent = {_NOT_FOUND} if optional else set()
        if forbidden_is_empty:
            self._absent.add(_FORBIDDEN)
        self._version = ""
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._absence = Backoff(FIRST_PAUSE, ABSENT_PAUSE)
        self._missed_at: float | None = None
        self._listed_at = -LONGEST_PAUSE

    async def run(self) -> None:
        """Watch the collection until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            try:
                if not self._version:
                    await self._list()
                await self._watch()
                # The server ended the watch normally; after watches that end at once the pauses grow.
                if clock() - began > LONGEST_PAUSE:
                    self._backoff.reset()
                pause = self._backoff.pause()
            except ApiError as error:
                pause = self._refused(error)
            except ApiUnavailableError as error:
                self._report(str(error))
                pause = self._backoff.pause()
            await asyncio.sleep(pause)

    async def _list(self) -> None:
        objects, version = await self._api.list(self.path, self._selector)
        self._sink.replace(objects)
        self._version = version
        self._listed_at = asyncio.get_running_loop().time()
        self._exists()

    async def _watch(self) -> None:
        async for kind, object_ in self._api.watch(self.path, self._selector, self._version):
            if kind == "DELETED":
                self._sink.drop(object_)
            elif kind != "BOOKMARK":
                self._sink.put(object_)
                self._backoff.reset()
            self._version = object_["metadata"]["resourceVersion"]
            self._exists()

    def _refused(self, error: ApiError) -> float:
        if error.status == _GONE:
            _log.info("expired", path=self.path)
            self._version = ""
            # The server answers, so the back-off begins anew; but not after a list whose version expires at once.
            if asyncio.get_running_loop().time() > self._listed_at + LONGEST_PAUSE:
                self._backoff.reset()
            else:
                self._report(str(error))
        elif error.status in self._absent and self._gone_for_good():
            self._version = ""
            self._sink.replace(())
            self._seen()
            return self._absence.pause()
        else:
            self._report(str(error), forbidden=error.status in {_UNAUTHORIZED, _FORBIDDEN})
        return self._backoff.pause()

    def _exists(self) -> None:
        self.known, self._missed_at = True, None
        self._absence.reset()
        self._seen()

    def _gone_for_good(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._missed_at = self._missed_at or now
        return not self.known or now >= self._missed_at + ABSENT_PAUSE

    def _seen(self) -> None:
        if not self.synced or self.problem:
            self.synced, self.problem, self.forbidden = True, "", False
            self._notify()

    def _report(self, problem: str, *, forbidden: bool = False) -> None:
        if problem != self.problem:
            _log.warning("unreachable", path=self.path, error=problem)
            self.problem, self.forbidden = problem, forbidden
            self._notify()
