"""Watches folders, whose number changes and of which some cannot be watched."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Final

import structlog
import watchfiles
from watchfiles._rust_notify import WatchfilesRustInternalError
from watchfiles.main import FileChange

_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0

_log = structlog.get_logger("kiteway.sources")


async def watch(folders: Callable[[], frozenset[Path]], matters: Callable[[Path], bool]) -> AsyncIterator[None]:
    """
    Yield when the folders are watched, and when something in one of them may have changed since; never ends.

    Only what ``folders`` returns is watched, not what is below. The library's own recursion follows symbolic links, so that a link
    to ``/`` would have it watch the whole file system. While the folders cannot be watched, because one is removed at that moment
    or the system's limit of watches is used up, it yields after a pause, at most 5 s long.

    Args:
        folders: returns them; called again after each change. A folder that this process may not read is not watched.
        matters: whether a change of a path is one.
    """
    pause = _PAUSE_SECONDS
    while True:
        try:
            async with contextlib.aclosing(_watched(folders, matters)) as changes:
                async for _ in changes:
                    pause = _PAUSE_SECONDS
                    yield
        except (OSError, WatchfilesRustInternalError) as error:
            _log.warning("folders cannot be watched", error=str(error), again_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            yield


async def _watched(
    folders: Callable[[], frozenset[Path]], matters: Callable[[Path], bool]
) -> AsyncGenerator[None, None]:
    """Yield when the watch has begun, since nothing before is seen, and at each change; end when there are other folders."""
    found = await asyncio.to_thread(folders)
    if not found:
        await asyncio.Event().wait()
    changes = watchfiles.awatch(
        *found, step=50, debounce=400, recursive=False, watch_filter=None, ignore_permission_denied=True
    )
    following: asyncio.Future[set[FileChange]] = asyncio.ensure_future(anext(changes))
    try:
        await asyncio.sleep(0)  # Its first step, in which it begins to watch.
        if following.done():
            following.result()
        yield
        while True:
            changed = await following
            following = asyncio.ensure_future(anext(changes))
            if any(matters(Path(path)) for _, path in changed):
                yield
            # A folder that was replaced by another one of its name is no longer watched.
            replaced = any(change is not watchfiles.Change.modified and Path(path) in found for change, path in changed)
            if replaced or await asyncio.to_thread(folders) != found:
                return
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await changes.aclose()
