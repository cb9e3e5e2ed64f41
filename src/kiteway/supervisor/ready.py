"""Waits for the control plane's word that the first configuration is active."""

from __future__ import annotations

import asyncio
import time

from kiteway.instance import Instance

_POLL_SECONDS = 0.05
_ANSWER_SECONDS = 2.0
_BODY_BYTES = 64 * 1024


class NotReadyError(Exception):
    """The instance did not become ready in time; the message ends with the control plane's reason."""


async def wait_ready(instance: Instance, timeout: float) -> None:
    """
    Wait until ``GET /ready`` on the status socket is answered 200.

    Raises:
        NotReadyError: it was not, for ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            status, reason = await asyncio.wait_for(_get_ready(str(instance.status_socket)), _ANSWER_SECONDS)
        except TimeoutError:
            status, reason = 0, "the control plane does not answer"
        except (OSError, ValueError, IndexError) as error:
            status, reason = 0, f"the control plane is not reachable ({error})"
        if status == 200:
            return
        if time.monotonic() >= deadline:
            raise NotReadyError(f"Not ready after {timeout:g} s: {reason}.")
        await asyncio.sleep(_POLL_SECONDS)


async def _get_ready(socket: str) -> tuple[int, str]:
    # Thirty lines less than an HTTP client costs 14 MiB of memory less in a process that stays.
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(b"GET /ready HTTP/1.0\r\nHost: kiteway\r\n\r\n")
        answer = await reader.read(_BODY_BYTES)
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(maxsplit=2)[1])
    return status, body.decode(errors="replace").strip().rstrip(".") or f"HTTP status {status}"
