"""``python -m kiteway.dashboard DATA_DIR``: what the supervisor starts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

from kiteway.dashboard.access import Access
from kiteway.dashboard.board import Board
from kiteway.dashboard.config import DashboardConfig, read
from kiteway.dashboard.server import LIMITS, application
from kiteway.dashboard.source import opened
from kiteway.dashboard.tls import NewestTLS
from kiteway.instance import Instance
from kiteway.metrics.server import scraped

_NICENESS = 10
"""Lower in priority than the control plane and Envoy, which are what the machine is for."""


async def serve(instance: Instance, config: DashboardConfig) -> None:
    """Serve the page until SIGTERM."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    token_file = Path(config.token_file) if config.token_file else None
    access = Access(token_file, bool(config.tls and config.tls.client_ca), config.hosts)
    tls = NewestTLS(config.tls) if config.tls else None
    async with opened(instance) as source:
        board = Board(source)
        reading = asyncio.create_task(board.run())
        async with scraped(config.bind, application(board, access), LIMITS, tls):
            waiting = asyncio.create_task(ended.wait())
            await asyncio.wait({reading, waiting}, return_when=asyncio.FIRST_COMPLETED)
            await board.end()
        if reading.done():
            reading.result()
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading


if __name__ == "__main__":
    os.nice(_NICENESS)
    running = Instance(Path(sys.argv[1]))
    configured = read(running.dashboard_file)
    # The file of the token can have changed since the supervisor's start.
    configured.check()
    asyncio.run(serve(running, configured))
