"""
Claims: they reserve an instance's ports, also while no process listens on them yet.

Envoy's listeners have SO_REUSEPORT, so the kernel would let a second Envoy of the same user share a port. A claim is an
abstract unix socket (unix(7)): it belongs to a network namespace, as the port does, containers that share the namespace
see it, and it disappears with its process. Its name contains the user, because only processes of one user can share a
port. Another user may take such a name. Its credentials (SO_PEERCRED) show that, and the claim is ignored, because claims
only separate instances of the same user.

There are two names for each port, for an instance and its successor. Without a predecessor an instance tries only the
first name, so if two instances start at the same time one of them gets it. That instance then looks for claims on
overlapping addresses. Two instances that start at the same moment may both be refused there, but never both accepted.
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
    """Another instance of this user has claimed the port; ``pid`` is its process, None if it is in another container."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(pid)
        self.pid = pid


class Claims:
    """The claims of one instance, until ``release``. There are no claims on systems other than Linux."""

    def __init__(self, predecessor: int | None = None) -> None:
        """Begin without claims; claims of the process ``predecessor`` do not count."""
        self._predecessor = predecessor
        self._held: dict[str, socket.socket] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Release all claims."""
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
        """Release one claim."""
        for slot in _SLOTS:
            if held := self._held.pop(_name(port, slot), None):
                held.close()

    def answer(self) -> None:
        """Accept connections to the claims in the running loop; without it only about a hundred can connect."""
        for held in self._held.values():
            held.setblocking(False)
            asyncio.get_running_loop().add_reader(held, _accept, held)

    def _check(self, name: str) -> None:
        """Raise ClaimedError if the claim counts."""
        pid, uid = _owner(name)
        if uid == os.geteuid() and (pid is None or pid != self._predecessor):
            raise ClaimedError(pid)


def _name(port: Port, slot: int) -> str:
    return f"{_prefix(port.number)}{port.address}/{slot}"


def _prefix(number: int) -> str:
    return f"kiteway/{os.geteuid()}/port/{number}/"


def _bind(name: str) -> socket.socket | None:
    """Return the claim; None if another process has it."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(f"\0{name}")
        # A connection shows the other process our credentials and carries no data.
        claim.listen()
    except OSError as error:
        claim.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return claim


def _overlapping(port: Port) -> Iterator[str]:
    """Yield the existing claims on addresses that overlap with ``port``."""
    prefix = f"@{_prefix(port.number)}"
    try:
        lines = _UNIX.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in dict.fromkeys(fields[7] for fields in map(str.split, lines) if len(fields) == 8):
        if not line.startswith(prefix):
            continue
        address = line.removeprefix(prefix).rpartition("/")[0]
        # A name without an address is no claim of Kiteway's.
        with contextlib.suppress(ValueError):
            if port.overlaps(address, port.number):
                yield line.removeprefix("@")


def _accept(claim: socket.socket) -> None:
    with contextlib.suppress(OSError):
        claim.accept()[0].close()


def _owner(name: str) -> tuple[int | None, int]:
    """Return process and user of a claim; a claim that does not answer counts as this user's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        try:
            asking.connect(f"\0{name}")
        except OSError:
            return None, os.geteuid()
        pid, uid, _ = _CREDENTIALS.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return pid or None, uid
