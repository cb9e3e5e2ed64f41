"""One collection, followed: list, watch, resume, and list again only when the server has forgotten."""

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
"""Seconds between two looks, at most, for a kind the cluster does not have; and how long one that it had must be gone
to count as absent: an API server that starts does not know its CRDs yet."""

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_GONE: Final = 410


class Sink(Protocol):
    """Takes what a reflector sees."""

    def replace(self, objects: Iterable[dict[str, Any]]) -> None:
        """Take the whole collection."""

    def put(self, object_: dict[str, Any]) -> None:
        """Take a new or changed object."""

    def drop(self, object_: dict[str, Any]) -> None:
        """Forget an object."""


class Reflector:
    """
    Keeps a sink equal to a collection of the API server.

    A broken watch is resumed where it was. The collection is listed again only when the server says that it has
    forgotten that version (410), so that an outage costs no list at all.

    Attributes:
        synced: whether the collection was seen whole, once.
        problem: why it cannot be seen just now; empty while it can.
        forbidden: whether that is for want of permission.
        known: whether the kind is known to exist; set where the sink was filled before.
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
        Prepare to follow ``path``.

        Args:
            api: the connection.
            path: the collection.
            sink: takes the objects.
            notify: called when ``synced`` or ``problem`` changes.
            selector: a field selector.
            optional: whether a cluster without the kind counts as one without such objects.
            forbidden_is_empty: whether a collection that may not be seen counts as empty.
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
        """Follow the collection until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            try:
                if not self._version:
                    await self._list()
                await self._watch()
                # The server ended it in order; a watch that ends at once, again and again, is opened ever less often.
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
            # The server answers, so the pauses of an outage are over; a list that expires at once is no reason for that.
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
