"""Watches folders, whose number changes and of which some cannot be watched."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Final

import structlog
import watchfiles
from watchfiles._rust_notify import WatchfilesRustInternalError
from watchfiles.main import FileChange

_PAUSE_SECONDS: Final = 0.5
"""Seconds between two reads while the folders cannot be watched."""
_LOG_SECONDS: Final = 60.0
"""Seconds for which the reason is not logged again."""
_REASONS: Final = (OSError, WatchfilesRustInternalError)

_log = structlog.get_logger("kiteway.sources")


async def watch(folders: Callable[[], frozenset[Path]], matters: Callable[[Path], bool]) -> AsyncIterator[None]:
    """
    Yield when the folders are watched, and when something in one of them may have changed since; never ends.

    Only what ``folders`` returns is watched, not what is below. The library's own recursion follows symbolic links, so that a link
    to ``/`` would have it watch the whole file system. Where a watch is not possible it yields twice a second: when the system's
    limit of watches is used up, or when a file's name is not UTF-8, at each change of which the library ends with an error.

    Args:
        folders: returns them; called again after each change. A folder that this process may not read is not watched.
        matters: whether a change of a path is one.
    """
    told = -math.inf
    while True:
        try:
            async with contextlib.aclosing(_watched(folders, matters)) as changes:
                async for _ in changes:
                    yield
        except (*_REASONS, ExceptionGroup) as error:
            # The library's own task group has one around its errors.
            if isinstance(error, ExceptionGroup) and error.split(_REASONS)[1] is not None:
                raise
            if time.monotonic() - told > _LOG_SECONDS:
                told = time.monotonic()
                _log.warning("folders cannot be watched", error=repr(error))
            await asyncio.sleep(_PAUSE_SECONDS)
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
