"""Tests from outside whether two ports belong to one process."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable

import httpx2

from kiteway.probe.result import Endpoint, ProbeError
from kiteway.probe.tcp import open_socket

_CONNECTIONS = 16
# Tolerance for connections that others open or close meanwhile.
_SLACK = 2
_POLL_SECONDS = 0.05
_GAUGE = re.compile(rb"(?:^|\n)process_open_fds ([0-9.e+]+)\r?\n")
_MAX_BYTES = 64 << 20
_OVERLAP = 128


async def same_process(serving: Endpoint, metrics: Endpoint, *, timeout: float) -> bool:
    """
    Return whether the process that answers ``/metrics`` at ``metrics`` accepts the connections at ``serving``.

    Opens 16 connections to ``serving``, closes them again, and checks that the process's number of open files
    (``process_open_fds``, which every Milvus exports) rises and falls with them. It works through every proxy that
    passes each connection on (a container's published port, a tunnel), needs no credentials, and distinguishes two
    instances of the same version. False if the test shows nothing.

    Args:
        serving: a TCP port.
        metrics: a port with Prometheus metrics, in plaintext.
        timeout: seconds in all.
    """
    try:
        async with (
            asyncio.timeout(timeout),
            # One connection for all questions: it is itself an open file.
            httpx2.AsyncClient(verify=False, timeout=timeout, trust_env=False) as client,
        ):

            async def files() -> float:
                return await _open_files(client, metrics)

            before = await files()
            with contextlib.ExitStack() as stack:
                await asyncio.gather(*(_open(stack, serving, timeout) for _ in range(_CONNECTIONS)))
                most = await _until(files, lambda now: now >= before + _CONNECTIONS - _SLACK)
            await _until(files, lambda now: now <= most - _CONNECTIONS + _SLACK)
    except (TimeoutError, ValueError, ProbeError, httpx2.HTTPError, httpx2.InvalidURL):
        return False
    return True


async def _open(stack: contextlib.ExitStack, serving: Endpoint, timeout: float) -> None:
    stack.callback((await open_socket(serving, timeout=timeout)).close)


async def _until(files: Callable[[], Awaitable[float]], enough: Callable[[float], bool]) -> float:
    while not enough(now := await files()):  # noqa: ASYNC110 - a gauge is polled
        await asyncio.sleep(_POLL_SECONDS)
    return now


async def _open_files(client: httpx2.AsyncClient, metrics: Endpoint) -> float:
    """Return the gauge; raises ValueError without one in the first 64 MiB."""
    found: bytes | None = None
    # Compression is neither requested nor accepted: a few compressed bytes may expand to very many.
    plain = {"accept-encoding": "identity"}
    async with client.stream("GET", f"http://{metrics}/metrics", headers=plain) as response:
        kept, size = b"", 0
        async for chunk in response.aiter_raw():
            kept += chunk
            size += len(chunk)
            if found is None and (match := _GAUGE.search(kept)):
                found = match[1]
            # The rest is read too, so that the connection can be used again.
            kept = kept[-_OVERLAP:]
            if size > _MAX_BYTES:
                break
    if found is None:
        raise ValueError(f"{metrics} has no process_open_fds")
    return float(found)
