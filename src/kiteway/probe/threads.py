"""Blocking calls that must not keep the process from ending."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_daemon_thread(call: Callable[[], T], *, name: str) -> T:
    """Run ``call`` in a separate thread and wait for it.

    The thread is a daemon and is left alone when the caller is cancelled: executor threads are
    joined at exit, so a resolver or a client that hangs would hang the process with it.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def report(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = call()
        except BaseException as caught:  # noqa: BLE001 - handed to the waiter as it is
            error = caught
        try:
            loop.call_soon_threadsafe(report, result, error)
        except RuntimeError:
            # The loop has closed, so no caller waits any more.
            return

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done
