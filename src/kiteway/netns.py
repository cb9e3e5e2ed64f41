"""A network namespace that ends with the process that made it (Linux).

It needs no mount and no named namespace: a small holder process keeps the namespace alive
and ends when its standard input closes, which the kernel does in every case when the parent
ends. The same file is that holder and the command that starts a program inside
(`python netns.py hold`, `python netns.py enter PATH PROGRAM ...`), so it imports only the
standard library.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn, Self, TypeVar

T = TypeVar("T")

# <sched.h>, <linux/sockios.h>, <net/if.h>
_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_IFREQ = struct.Struct("16sH14x")

_READY = b"ready\n"
_HOLDER_START_SECONDS = 10.0


class NetworkNamespaceError(RuntimeError):
    """A network namespace cannot be made or entered; the message says why and what to do."""


class NetworkNamespace:
    """One network namespace with its loopback interface up and no other way out.

    Use it as a context manager, or call `close`. Processes started inside keep the
    namespace alive until they end.
    """

    def __init__(self, holder: subprocess.Popen[bytes]) -> None:
        """Take over a holder that has said it is ready; use `create` instead."""
        self._holder = holder
        self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    @classmethod
    def create(cls) -> Self:
        """Make a namespace and bring its loopback interface up.

        Raises:
            NetworkNamespaceError: not Linux, not permitted, or the holder did not start.
        """
        if sys.platform != "linux":
            raise NetworkNamespaceError("network namespaces exist only on Linux")
        holder = subprocess.Popen(
            [*_SELF, "hold"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        if holder.stdout and select.select([holder.stdout], [], [], _HOLDER_START_SECONDS)[0]:
            first_line = holder.stdout.readline()
            if first_line == _READY:
                return cls(holder)
        holder.kill()
        _, stderr = holder.communicate()
        reason = stderr.decode(errors="replace").strip().splitlines()
        raise NetworkNamespaceError(reason[-1] if reason else "the namespace holder did not start")

    @property
    def path(self) -> str:
        """The namespace as a file, good for `setns` and Envoy, while this object is open."""
        return f"/proc/{self._holder.pid}/ns/net"

    @property
    def command_prefix(self) -> tuple[str, ...]:
        """The prefix of a command line that makes the program run inside, under the same pid."""
        return (*_SELF, "enter", self.path)

    def call(self, function: Callable[[], T]) -> T:
        """Run `function` on a thread inside the namespace and return what it returns.

        Sockets it makes belong to the namespace for good. Blocks until it is done; an
        exception it raises is raised here.
        """

        def inside() -> T:
            _setns(self._fd)
            return function()

        # setns moves only the calling thread, so a separate thread goes in and ends there.
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(inside).result()

    def connect(self, host: str, port: int, timeout: float = 5.0) -> socket.socket:
        """Open a TCP connection from inside the namespace; `timeout` is in seconds.

        Raises:
            OSError: as `socket.create_connection` does.
        """
        return self.call(lambda: socket.create_connection((host, port), timeout=timeout))

    def close(self) -> None:
        """Release the namespace; it ends with the last process inside. Idempotent."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        self._holder.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def supported() -> str | None:
    """Return why a network namespace cannot be made here; None if it can.

    The function tries to make one, because the result depends on capabilities, seccomp and containers.
    """
    try:
        NetworkNamespace.create().close()
    except NetworkNamespaceError as error:
        return str(error)
    return None


_SELF = (sys.executable, "-I", "-S", str(Path(__file__).resolve()))


def _libc_call(name: str, *args: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def _setns(fd: int) -> None:
    _libc_call("setns", fd, _CLONE_NEWNET)


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        answer = fcntl.ioctl(control, _SIOCGIFFLAGS, _IFREQ.pack(b"lo", 0))
        _, flags = _IFREQ.unpack(answer)
        fcntl.ioctl(control, _SIOCSIFFLAGS, _IFREQ.pack(b"lo", flags | _IFF_UP))


def _hold() -> None:
    try:
        _libc_call("unshare", _CLONE_NEWNET)
        _bring_loopback_up()
    except OSError as error:
        sys.exit(
            f"cannot make a network namespace: {error.strerror}; run as root with "
            "CAP_SYS_ADMIN and CAP_NET_ADMIN (a container needs both added)"
        )
    sys.stdout.buffer.write(_READY)
    sys.stdout.buffer.flush()
    sys.stdin.buffer.read()


def _enter(path: str, command: list[str]) -> NoReturn:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        _setns(fd)
        os.execvp(command[0], command)  # noqa: S606 (becoming the program is what this file is for)
    except OSError as error:
        sys.exit(f"cannot run {command[0]} in the network namespace {path}: {error}")


if __name__ == "__main__":
    if sys.argv[1] == "hold":
        _hold()
    else:
        _enter(sys.argv[2], sys.argv[3:])
