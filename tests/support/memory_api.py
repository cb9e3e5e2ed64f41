"""An API server in memory: objects with resource versions, preconditions and watches; for unit tests."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kiteway.kubernetes.api import ApiError, ApiUnavailableError


class MemoryApi:
    """
    See `kiteway.kubernetes.api.Api`.

    Attributes:
        objects: by their path.
        asked: method and path of every request.
        away: whether no request is answered.
        lost_answers: how many writes from now on happen without an answer.
    """

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.away = False
        self.lost_answers = 0
        self._version = 0
        self._watches: list[tuple[str, asyncio.Queue[tuple[str, dict[str, Any]]]]] = []

    async def get(self, path: str) -> dict[str, Any]:
        """Return an object."""
        self._ask("get", path)
        return copy.deepcopy(self._found(path))

    async def list(self, path: str, _selector: str) -> tuple[list[dict[str, Any]], str]:
        """Return a collection."""
        self._ask("list", path)
        return [copy.deepcopy(o) for where, o in self.objects.items() if where.startswith(f"{path}/")], str(
            self._version
        )

    async def watch(self, path: str, _selector: str, version: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield what changes from now on."""
        self._ask("watch", path)
        queue: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        watch = (path, queue)
        self._watches.append(watch)
        try:
            yield "BOOKMARK", {"metadata": {"resourceVersion": version}}
            while True:
                yield await queue.get()
        finally:
            self._watches.remove(watch)

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object."""
        where = f"{path}/{body['metadata']['name']}"
        self._ask("create", where)
        if where in self.objects:
            raise ApiError(409, "AlreadyExists", "")
        return self._put(where, body, "ADDED")

    async def replace(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace an object that has not changed."""
        self._ask("replace", path)
        if self._found(path)["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "")
        return self._put(path, body, "MODIFIED")

    async def merge(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Merge annotations, which is all that is merged."""
        self._ask("merge", path)
        found = copy.deepcopy(self._found(path))
        annotations = {**found["metadata"].get("annotations", {}), **body["metadata"]["annotations"]}
        found["metadata"]["annotations"] = {k: v for k, v in annotations.items() if v is not None}
        return self._put(path, found, "MODIFIED")

    def remove(self, path: str) -> None:
        """Delete an object, as another client may."""
        self._tell("DELETED", path, self.objects.pop(path))

    def _ask(self, method: str, path: str) -> None:
        if self.away:
            raise ApiUnavailableError("refused")
        self.asked.append((method, path))

    def _found(self, path: str) -> dict[str, Any]:
        if path not in self.objects:
            raise ApiError(404, "NotFound", "")
        return self.objects[path]

    def _put(self, path: str, body: Mapping[str, Any], event: str) -> dict[str, Any]:
        self._version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self._version)}
        self.objects[path] = copy.deepcopy({**body, "metadata": metadata})
        self._tell(event, path, self.objects[path])
        if self.lost_answers:
            self.lost_answers -= 1
            raise ApiUnavailableError("the connection broke")
        return copy.deepcopy(self.objects[path])

    def _tell(self, event: str, path: str, object_: dict[str, Any]) -> None:
        for where, queue in self._watches:
            if path.startswith(f"{where}/"):
                queue.put_nowait((event, copy.deepcopy(object_)))


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop in a thread, as a control plane's beside the threads that ask a CA."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _cancel_all() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
