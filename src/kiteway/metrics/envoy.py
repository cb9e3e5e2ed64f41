"""Envoy's statistics on the page; those of the filter get labels, which Envoy does not give them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable

from kiteway.envoy.xds.common import grpc_cluster_name, rest_cluster_name
from kiteway.model import PoolKey

_OF_FILTER = re.compile(rb"^(# TYPE )?envoy_cluster_(?:(pool_\w+?)_)?kiteway_(\w+)(.*)$", re.DOTALL)
_COUNTED = re.compile(rb"^((?:requests|responses)_total)_(rpc|status)_(\w+)$")
_OF_QUEUE = re.compile(rb'^envoy_kiteway_queue\w+\{.*?pool="(?:[^"]*, )?([^", ]+)"')
_NOT_A_NAME = re.compile(r"[^a-zA-Z0-9_]")


async def labelled(pieces: AsyncIterator[bytes], pools: Iterable[PoolKey]) -> AsyncIterator[bytes]:
    """
    Yield the lines of ``pieces``; what Envoy writes into the names of the filter's statistics becomes labels.

    A statistic with a label has the pool in its name, because Envoy extracts tags only from names that it knows. A counter
    for one call or one status has that in its name. Envoy keeps what it has counted of queues to its end: the lines of pools
    that are gone are left out.
    """
    pools = tuple(pools)
    queues = {str(pool).encode() for pool in pools}
    names = [name(pool) for pool in pools for name in (grpc_cluster_name, rest_cluster_name)]
    clusters = {_NOT_A_NAME.sub("_", name).encode(): name.encode() for name in names}
    known: set[bytes] = set()
    async for line in _lines(pieces):
        queue = _OF_QUEUE.match(line)
        if queue is not None and queue[1] not in queues:
            continue
        found = _OF_FILTER.match(line)
        if found is None or (found[2] is not None and found[2] not in clusters):
            yield line
            continue
        kind, pool, name, rest = found.groups()
        counted = _COUNTED.match(name)
        name = counted[1] if counted else name
        if kind:
            if name not in known:
                known.add(name)
                yield b"# TYPE envoy_cluster_kiteway_" + name + rest
        elif pool:
            label = b'{envoy_cluster_name="' + clusters[pool] + b'"'
            yield b"envoy_cluster_kiteway_" + name + label + b"," + rest.lstrip(b"{")
        elif counted:
            label = b"," + counted[2] + b'="' + counted[3] + b'"}'
            yield b"envoy_cluster_kiteway_" + name + rest.replace(b"}", label, 1)
        else:
            yield line


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line + b"\n"
    yield rest
