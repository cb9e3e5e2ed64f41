"""Answers probes on their sockets, at so little cost that a kubelet's probe is answered during a flood of them."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Final

from kiteway.status.accepted import Accepted, ByPeer
from kiteway.status.server import Ready

_HEAD: Final = re.compile(rb"GET (/live|/ready) HTTP/1\.[01]\r?\n(?:[^\r\n]+\r?\n)*\r?\n")
"""The whole request of a probe. Any other request goes to the HTTP server."""
_MOST_WAITING: Final = 256
"""Probes that wait for Envoy's answer; above it the oldest of the address with the most is closed."""
Answer = tuple[int, str]
"""The status and the text."""
LIVE: Final[Answer] = (200, "live")
_REASONS: Final = {200: "OK", 503: "Service Unavailable"}


class Probes:
    """
    The probes of one server.

    Args:
        ready: returns why the instance is not ready; empty when it is. It is called once at a time, for all that ask then.
    """

    def __init__(self, ready: Ready) -> None:
        self._ready = ready
        self._asking: asyncio.Future[str] | None = None
        self._waiting = ByPeer()

    def answer(self, accepted: Accepted) -> bool:
        """Answer a probe and close its connection; return false, and do nothing, if it is something else."""
        if not (found := _HEAD.fullmatch(accepted.received)):
            return False
        if found[1] == b"/live":
            _send(accepted, LIVE)
            return True
        self._waiting.add(accepted)
        for each in self._waiting.shrink(_MOST_WAITING):
            each.connection.close()
        self._ask()
        return True

    async def ready(self) -> Answer:
        """Return the answer to ``/ready``."""
        # A caller that is cancelled must not cancel the call for the others.
        return _of_reason(await asyncio.shield(self._ask()))

    def _ask(self) -> asyncio.Future[str]:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ready())
            self._asking.add_done_callback(self._answer_waiting)
        return self._asking

    def _answer_waiting(self, asked: asyncio.Future[str]) -> None:
        failed = asked.cancelled() or asked.exception() is not None
        for each in self._waiting.shrink(0):
            if failed:
                each.connection.close()
            else:
                _send(each, _of_reason(asked.result()))


def _of_reason(reason: str) -> Answer:
    return (503, "not ready") if reason else (200, "ready")


def _send(accepted: Accepted, answer: Answer) -> None:
    status, text = answer
    head = f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {len(text)}\r\n"
    # The socket's buffer is empty, and holds this.
    with contextlib.suppress(OSError):
        accepted.connection.send(f"{head}connection: close\r\n\r\n{text}".encode())
    accepted.connection.close()
