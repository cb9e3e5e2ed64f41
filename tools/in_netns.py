"""
Run a command in its own network namespace, with loopback up and no other interface.

The embedded Milvus listens on every address, whatever its configuration says; inside, every address is loopback. Root
needs no special permission; other users need unprivileged user namespaces. Where neither is permitted the command runs
outside, with a note, and code that needs isolation must check for it (`isolated`).

Usage: ``python tools/in_netns.py COMMAND [ARGUMENT...]``
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
SIOCSIFADDR = 0x8916
SIOCSIFNETMASK = 0x891C
IFF_UP = 0x1

MIGRATE_REQ = Path("/proc/sys/net/ipv4/tcp_migrate_req")
"""1 hands connections that a closing listener had not accepted to another on its port, as `kiteway doctor` advises."""

PODS = ("10.244.0.0", "255.255.0.0")
"""Loopback's second network, for made-up pods: no API server takes an endpoint in 127.0.0.0/8."""


def isolated() -> bool:
    """Tell whether loopback is the only interface here, so that no other machine can reach what listens."""
    return [name for _, name in socket.if_nameindex()] == ["lo"]


def enter() -> None:
    """
    Move this process into a new network namespace and bring its loopback up.

    Raises:
        OSError: the kernel, or whoever confines this process, does not permit it.
    """
    if sys.platform != "linux":
        raise OSError(f"{sys.platform} has no network namespaces")
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET | (CLONE_NEWUSER if uid else 0)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    if uid:  # the same user inside as outside
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        flags: int = struct.unpack("16xH14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[0]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))
        for request_number, value in zip((SIOCSIFADDR, SIOCSIFNETMASK), PODS, strict=True):
            address = struct.pack("16sHH4s8x", b"lo:pods", socket.AF_INET, 0, socket.inet_aton(value))
            fcntl.ioctl(any_socket, request_number, address)
    with contextlib.suppress(OSError):  # older than Linux 5.14
        MIGRATE_REQ.write_text("1")


def permitted() -> str:
    """Return why this process may not enter a namespace, or an empty string; a child tries it first."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        reason = ""
        try:
            enter()
        except OSError as error:
            reason = str(error) or type(error).__name__
        os.write(writer, reason.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        reason = stream.read().decode()
    os.waitpid(child, 0)
    return reason


def main() -> None:
    """Enter a namespace if that is permitted, and become the command."""
    command = sys.argv[1:]
    if not command:
        raise SystemExit(__doc__)
    if not isolated():
        reason = permitted()
        if reason:
            print(
                f"NOTE: no network namespace of its own ({reason}): running on this machine's network.\n"
                "NOTE: whatever needs the embedded Milvus is skipped, because it would listen beyond loopback.",
                file=sys.stderr,
                flush=True,
            )
        else:
            enter()
    os.execvp(command[0], command)  # noqa: S606 - becoming the command is the purpose; no shell is involved


if __name__ == "__main__":
    main()
