"""Asks the children on their unix sockets: the control plane whether it is ready, Envoy whether it listens."""

from __future__ import annotations

import asyncio
import re
import time

from kiteway.instance import Instance
from kiteway.supervisor.waiting_room import Listening

_POLL_SECONDS = 0.05
_ANSWER_SECONDS = 2.0
_BODY_BYTES = 64 * 1024
_WORKERS_STARTED = "listener_manager.workers_started"
_WORKERS = "server.concurrency"


class NotReadyError(Exception):
    """The instance did not become ready in time; the message ends with the control plane's reason."""


async def wait_ready(instance: Instance, timeout: float) -> None:
    """
    Wait until ``GET /ready`` on the status socket is answered with 200.

    Raises:
        NotReadyError: it was not, for ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                status, reason = await _get_ready(str(instance.status_socket))
        except TimeoutError:
            status, reason = 0, "the control plane does not answer"
        except (OSError, ValueError, IndexError) as error:
            status, reason = 0, f"the control plane is not reachable ({error})"
        if status == 200:
            return
        if time.monotonic() >= deadline:
            raise NotReadyError(f"Not ready after {timeout:g} s: {reason}.")
        await asyncio.sleep(_POLL_SECONDS)


async def controlplane_answers(instance: Instance) -> None:
    """
    Return when the control plane has answered; it does so also while it builds a configuration.

    Raises:
        OSError, ValueError: it does not answer.
    """
    answer = await _get(str(instance.status_socket), "/live")
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ValueError("the control plane does not answer with 200")


async def envoy_listening(instance: Instance) -> Listening:
    """
    Ask Envoy for its listeners; it has them when its first configuration is complete.

    Raises:
        OSError: Envoy does not answer.
        ValueError: it does not serve yet.
    """
    socket = str(instance.admin_socket)
    pattern = "|".join(name.replace(".", "[.]") for name in (_WORKERS_STARTED, _WORKERS))
    # Python 3.11's `wait_for` loses a cancellation that comes at the moment of the answer.
    async with asyncio.timeout(_ANSWER_SECONDS):
        stats = await _get(socket, f"/stats?filter=^({pattern})$")
    numbers = dict(re.findall(r"^([a-z._]+): (\d+)\r?$", stats.decode(errors="replace"), re.MULTILINE))
    if numbers.get(_WORKERS_STARTED) != "1":
        raise ValueError("Envoy does not serve yet")
    async with asyncio.timeout(_ANSWER_SECONDS):
        listeners = await _get(socket, "/listeners")
    return Listening(listening_addresses(listeners.decode(errors="replace")), int(numbers[_WORKERS]))


def listening_addresses(listeners: str) -> frozenset[tuple[str, int]]:
    """Return the addresses and ports in the text of Envoy's ``/listeners``; a unix socket is not among them."""
    found = re.findall(r"^[^\r\n]*?::\[?([0-9a-f.:]+?)\]?:(\d+)\r?$", listeners, re.MULTILINE)
    return frozenset((host, int(port)) for host, port in found)


async def _get_ready(socket: str) -> tuple[int, str]:
    head, _, body = (await _get(socket, "/ready")).partition(b"\r\n\r\n")
    status = int(head.split(maxsplit=2)[1])
    return status, body.decode(errors="replace").strip().rstrip(".") or f"HTTP status {status}"


async def _get(socket: str, path: str) -> bytes:
    # An HTTP client would cost this long-lived process 14 MiB of memory.
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: kiteway\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while len(answer) < _BODY_BYTES and (part := await reader.read(_BODY_BYTES)):
            answer += part
    finally:
        writer.close()
    return answer
