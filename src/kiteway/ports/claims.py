"""
Claims: which ports are an instance's, also while nobody listens on them yet.

Envoy's listeners have SO_REUSEPORT, so the kernel would let a second Envoy of the same user share a port. A claim is an
abstract unix socket (unix(7)): it belongs to a network namespace, as the port does, is seen by containers that share the
namespace, and ends with its process. Its name carries the user, as only processes of one user can share a port. Somebody
else may take such a name; that is seen by its credentials (SO_PEERCRED) and then ignored, since a claim only keeps a
user's own instances apart.

There are two names for each port, for an instance and its successor. Without a predecessor only the first is tried, so of
two that start at once one gets it. Who has a name then looks for claims on overlapping addresses; there, two that start
in the same instant may both be refused, but never both accepted.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from kiteway.ports.port import Port

_SLOTS = (1, 2)
_UNIX = Path("/proc/thread-self/net/unix")
_CREDENTIALS = struct.Struct("3i")


class ClaimedError(Exception):
    """Another instance of this user has claimed the port. ``pid``: its process, None in another container."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(pid)
        self.pid = pid


class Claims:
    """The claims of one instance, until ``release``. Elsewhere than on Linux there are none."""

    def __init__(self, predecessor: int | None = None) -> None:
        """Begin without claims; ``predecessor`` is the process that those in the way may belong to."""
        self._predecessor = predecessor
        self._held: dict[str, socket.socket] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let go of all."""
        for held in self._held.values():
            with contextlib.suppress(RuntimeError):  # no loop runs
                asyncio.get_running_loop().remove_reader(held)
            held.close()
        self._held.clear()

    def take(self, port: Port) -> None:
        """
        Claim a port.

        Raises:
            ClaimedError: another instance than the predecessor has it.
        """
        if sys.platform != "linux":
            return
        names = [_name(port, slot) for slot in _SLOTS[: 1 if self._predecessor is None else None]]
        for name in names:
            if (claim := _bind(name)) is not None:
                self._held[name] = claim
                break
            self._check(name)
        try:
            for name in _overlapping(port):
                if name not in self._held:
                    self._check(name)
        except ClaimedError:
            self.give_up(port)
            raise

    def give_up(self, port: Port) -> None:
        """Let go of one."""
        for slot in _SLOTS:
            if held := self._held.pop(_name(port, slot), None):
                held.close()

    def answer(self) -> None:
        """Let the running loop show everybody who asks that we are here; without it about a hundred may ask."""
        for held in self._held.values():
            held.setblocking(False)
            asyncio.get_running_loop().add_reader(held, _accept, held)

    def _check(self, name: str) -> None:
        """Raise ClaimedError if the claim is one that counts."""
        pid, uid = _owner(name)
        if uid == os.geteuid() and (pid is None or pid != self._predecessor):
            raise ClaimedError(pid)


def _name(port: Port, slot: int) -> str:
    return f"{_prefix(port.number)}{port.address}/{slot}"


def _prefix(number: int) -> str:
    return f"kiteway/{os.geteuid()}/port/{number}/"


def _bind(name: str) -> socket.socket | None:
    """Return the claim, None when somebody has it."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(f"\0{name}")
        # A connection tells the other end who we are, and carries nothing.
        claim.listen()
    except OSError as error:
        claim.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return claim


def _overlapping(port: Port) -> Iterator[str]:
    """Yield the claims that there are where ``port`` would listen."""
    prefix = f"@{_prefix(port.number)}"
    try:
        lines = _UNIX.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in dict.fromkeys(fields[7] for fields in map(str.split, lines) if len(fields) == 8):
        if not line.startswith(prefix):
            continue
        address = line.removeprefix(prefix).rpartition("/")[0]
        # Whoever made up a name that has no address in it claims nothing.
        with contextlib.suppress(ValueError):
            if port.overlaps(address, port.number):
                yield line.removeprefix("@")


def _accept(claim: socket.socket) -> None:
    with contextlib.suppress(OSError):
        claim.accept()[0].close()


def _owner(name: str) -> tuple[int | None, int]:
    """Return process and user of a claim; one that does not answer (yet, or any more) is taken for our user's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        try:
            asking.connect(f"\0{name}")
        except OSError:
            return None, os.geteuid()
        pid, uid, _ = _CREDENTIALS.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return pid or None, uid
