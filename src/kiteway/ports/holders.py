"""
Finds the process that uses a port (proc_pid_net(5)).

Every user sees that a port is taken and by which user; only root and that user see the process. On systems other than
Linux nothing is found.
"""

from __future__ import annotations

import ipaddress
import os
import pwd
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kiteway.instance import Instance
from kiteway.ports.port import Port
from kiteway.printable import printable

_PROC = Path("/proc")
_LISTEN = "0A"
_LOCK_NAME = Instance(Path("/")).lock_file.name
# Envoy and the control plane are children of the supervisor, which has the lock open.
_GENERATIONS = 3


@dataclass(frozen=True, slots=True)
class Holder:
    """
    A process that uses a port.

    Attributes:
        pid: None if it is not visible.
        program: its name; empty if it is not visible.
        user: the user's name, or the number of one without a name.
        instance: the instance of Kiteway to which it belongs.
        supervisor: that instance's process.
    """

    pid: int | None
    program: str = ""
    user: str = ""
    instance: Instance | None = None
    supervisor: int | None = None


def holders(port: Port) -> list[Holder]:
    """Return the processes that listen on the address of ``port``; empty if that is not visible."""
    found = [(uid, inode) for address, uid, inode in _sockets("tcp", port.number) if _same(port, address)]
    found += [(uid, inode) for address, uid, inode in _sockets("tcp6", port.number) if _same(port, address)]
    if not found:
        # A listener on :: may accept IPv4 too; /proc does not show whether this one does.
        found = [(uid, inode) for address, uid, inode in _sockets("tcp6", port.number) if _any(address)]
    owners = _owners({inode for _, inode in found})
    return [holder_of(owners.get(inode), uid) for uid, inode in found]


def holder_of(pid: int | None, uid: int) -> Holder:
    """Describe a process; ``uid`` is the id of its user."""
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    if pid is None:
        return Holder(None, user=user)
    supervisor, instance = _supervisor(pid)
    return Holder(pid, _program(pid), user, instance, supervisor)


def _same(port: Port, address: str) -> bool:
    return port.overlaps(address, port.number)


def _any(address: str) -> bool:
    return ipaddress.ip_address(address).is_unspecified


def _sockets(table: str, number: int) -> Iterator[tuple[str, int, str]]:
    """Yield address, user and inode of the sockets that listen on a port."""
    try:
        lines = (_PROC / "thread-self/net" / table).read_text().splitlines()[1:]
    except OSError:
        return
    for fields in map(str.split, lines):
        address, _, port = fields[1].partition(":")
        if int(port, 16) == number and fields[3] == _LISTEN:
            yield _address(address), int(fields[7]), fields[9]


def _address(text: str) -> str:
    """Read words of 32 bits in the machine's byte order; an IPv4 address inside an IPv6 one is given as such."""
    words = [int(text[i : i + 8], 16) for i in range(0, len(text), 8)]
    address = ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _owners(inodes: set[str]) -> dict[str, int]:
    """Return the process of each socket; the oldest if several share it."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, int] = {}
    if not wanted or not _PROC.is_dir():
        return found
    for pid in sorted(int(name) for name in os.listdir(_PROC) if name.isdigit()):  # noqa: PTH208 - names, not paths
        for link in _open_files(pid):
            if link in wanted:
                found.setdefault(wanted[link], pid)
    return found


def _open_files(pid: int) -> Iterator[str]:
    folder = _PROC / str(pid) / "fd"
    try:
        entries = list(folder.iterdir())
    except OSError:
        return  # another user's, or gone
    for entry in entries:
        try:
            yield str(entry.readlink())
        except OSError:
            continue


def locked_data_dirs() -> set[Path]:
    """Return the data directories whose lock file a process has open that this user can see."""
    if not _PROC.is_dir():
        return set()
    return {
        Path(link).parent
        for name in os.listdir(_PROC)  # noqa: PTH208 - names, not paths
        if name.isdigit()
        for link in _open_files(int(name))
        if link.endswith(f"/{_LOCK_NAME}")
    }


def _supervisor(pid: int) -> tuple[int | None, Instance | None]:
    """Find the supervisor of an instance: it or one of its nearest ancestors has the lock of a data directory open."""
    for _ in range(_GENERATIONS):
        for link in _open_files(pid):
            if link.endswith(f"/{_LOCK_NAME}"):
                return pid, Instance(Path(link).parent)
        pid = _parent(pid)
        if pid <= 1:
            break
    return None, None


def _parent(pid: int) -> int:
    try:
        # The name in parentheses may have anything in it.
        return int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _program(pid: int) -> str:
    try:
        return printable((_PROC / str(pid) / "comm").read_text(errors="replace").strip())
    except OSError:
        return ""
