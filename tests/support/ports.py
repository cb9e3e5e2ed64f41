"""Ports for servers that a test stops and starts again."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def lasting_port() -> int:
    """
    Return a free TCP port of 127.0.0.1 below those that the kernel gives to connections.

    A port that the kernel has chosen may become the near end of somebody's connection while its server is away, even of
    one that tries to reach that very server, and then the server cannot come back.
    """
    first = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32768
    while True:
        port = random.randrange(first // 2, first)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
