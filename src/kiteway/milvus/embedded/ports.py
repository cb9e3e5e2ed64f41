"""Free TCP ports for servers that cannot choose a free port themselves."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

# Below Linux's ephemeral range (32768 up), so that no outgoing connection takes a port
# between the check and the server's bind.
_CANDIDATES = range(12000, 32000)


def free_ports(count: int, taken: Iterable[int] = ()) -> tuple[int, ...]:
    """Return `count` different ports that nothing listens on, none of them in `taken`.

    They are only checked, not reserved: start the server soon.

    Raises:
        OSError: there are not that many.
    """
    avoid = set(taken)
    found: list[int] = []
    for port in random.sample(_CANDIDATES, len(_CANDIDATES)):
        if port not in avoid and is_free(port):
            found.append(port)
            if len(found) == count:
                return tuple(found)
    raise OSError(f"fewer than {count} free TCP ports between 12000 and 31999")


def is_free(port: int) -> bool:
    """Say whether a server could listen on `port` on every address, as Milvus does."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Go's servers do: closed connections of an earlier server (TIME_WAIT) do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
            probe.listen()
        except OSError:
            return False
    return True
