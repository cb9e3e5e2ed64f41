"""``python -m kiteway.controlplane FILE``: what the supervisor starts."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from kiteway.controlplane.config import read
from kiteway.controlplane.log import configure
from kiteway.controlplane.run import run

if __name__ == "__main__":
    configure()
    sys.exit(asyncio.run(run(read(Path(sys.argv[1])))))
