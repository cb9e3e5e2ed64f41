"""
Write docs/images/first-minute.svg: the README's first commands before a real Milvus, as a terminal shows them.

    python tools/in_netns.py .venv/bin/python -m tools.record
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from kiteway.milvus.embedded import StandaloneMilvus

TARGET = Path(__file__).resolve().parents[1] / "docs/images/first-minute.svg"
KITEWAY = Path(sys.executable).with_name("kiteway")
WIDTH = 112
READY_SECONDS = 120.0
# What stands in the picture instead of a temporary folder.
HOME = "/home/you"


async def record() -> str:
    """Run the commands in a home of their own and return the picture."""
    with tempfile.TemporaryDirectory(prefix="kw-") as home:
        async with StandaloneMilvus(Path(home) / "milvus", port=19530, health_port=9091):
            return await asyncio.to_thread(_record, Path(home))


def _record(home: Path) -> str:
    terminal = Console(record=True, width=WIDTH, file=(home / "terminal").open("w"), color_system="truecolor")
    variables = {**os.environ, "HOME": str(home), "FORCE_COLOR": "1", "COLUMNS": str(WIDTH)}
    log = home / "up"

    def show(command: str, output: str) -> None:
        terminal.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        terminal.print(Text.from_ansi(output.replace(str(home), HOME).rstrip()), end="\n\n")

    # The progress of a command, on standard error, is gone when it ends.
    up = "kiteway up --to localhost:19530"
    with log.open("wb") as output:
        running = subprocess.Popen([KITEWAY, *shlex.split(up)[1:]], stdout=output, stderr=output, env=variables)
    try:
        deadline = time.monotonic() + READY_SECONDS
        while "ready" not in log.read_text():
            if running.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        show(up, log.read_text())
        for command in (
            "kiteway verify localhost:8443 --ca ~/.local/state/kiteway/state/quickstart/tls.crt",
            "kiteway status",
        ):
            words = [word.replace("~", str(home)) for word in shlex.split(command)[1:]]
            done = subprocess.run([KITEWAY, *words], check=False, capture_output=True, text=True, env=variables)
            show(command, done.stdout or done.stderr)
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(60)
    return terminal.export_svg(title="Kiteway before a Milvus that runs already")


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(asyncio.run(record()))
