"""Asks the children, on their unix sockets: the control plane whether it is ready, Envoy whether it listens."""

from __future__ import annotations

import asyncio
import time

from kiteway.instance import Instance

_POLL_SECONDS = 0.05
_ANSWER_SECONDS = 2.0
_BODY_BYTES = 64 * 1024
_WORKERS = "listener_manager.workers_started"


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


async def envoy_listens(instance: Instance) -> bool:
    """
    Tell whether Envoy has its listeners: it opens them when its first configuration is whole.

    Raises:
        OSError: Envoy does not answer.
    """
    answer = await asyncio.wait_for(_get(str(instance.admin_socket), f"/stats?filter=^{_WORKERS}$"), _ANSWER_SECONDS)
    return f"{_WORKERS}: 1".encode() in answer


async def _get_ready(socket: str) -> tuple[int, str]:
    head, _, body = (await _get(socket, "/ready")).partition(b"\r\n\r\n")
    status = int(head.split(maxsplit=2)[1])
    return status, body.decode(errors="replace").strip().rstrip(".") or f"HTTP status {status}"


async def _get(socket: str, path: str) -> bytes:
    # Thirty lines less than an HTTP client costs 14 MiB of memory less in a process that stays.
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: kiteway\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while len(answer) < _BODY_BYTES and (part := await reader.read(_BODY_BYTES)):
            answer += part
    finally:
        writer.close()
    return answer
