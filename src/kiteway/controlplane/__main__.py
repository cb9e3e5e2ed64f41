"""``python -m kiteway.controlplane FILE``: what the supervisor starts."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path

from kiteway.controlplane.config import read
from kiteway.controlplane.log import configure
from kiteway.controlplane.run import run

if __name__ == "__main__":
    configure()
    status = asyncio.run(run(read(Path(sys.argv[1]))))
    # As in `kiteway.cli.main`.
    gc.freeze()
    sys.exit(status)
