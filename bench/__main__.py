"""
Run benches: ``python -m bench [NAME...]``.

Everything runs in its own network namespace where that is permitted; the tools come before that, from Debian
packages unpacked under ``.tools/`` or, where there is no apt, from ``PATH``.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from bench.outcome import BenchError, Context, Outcome
from bench.registry import BENCHES
from bench.report import machine, show, write
from tools import debian, in_netns

T = TypeVar("T")

_PACKAGES = ("nghttp2-client", "nghttp2-server", "nginx-light", "haproxy")
_PROGRAMS = ("h2load", "nghttpd", "nginx", "haproxy")


def _programs() -> dict[str, Path]:
    try:
        return debian.programs(*_PACKAGES)
    except debian.DebianError as error:
        found = {name: Path(path) for name in _PROGRAMS if (path := shutil.which(name))}
        if "h2load" not in found:
            raise BenchError(f"h2load makes the load, and there is none. {error}") from error
        return found


def _isolate(console: Console) -> None:
    if in_netns.isolated():
        return
    if reason := in_netns.permitted():
        console.print(f"NOTE: no network namespace of its own ({reason}): nothing is measured with Milvus.")
    else:
        in_netns.enter()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [bench.name for bench in BENCHES]
    listed = "; ".join(f"{bench.name}: {bench.summary}" for bench in BENCHES)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*names, []], help=f"{listed} (default: all)")
    parser.add_argument("--rounds", type=int, default=24, help="measurements of each contestant (default: 24)")
    parser.add_argument("--block-seconds", type=float, default=0.5, help="length of one of them, about (default: 0.5)")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the collection of cache (default: 100000)")
    return parser.parse_args()


async def _run(arguments: argparse.Namespace, programs: dict[str, Path], console: Console) -> dict[str, Outcome]:
    began = time.monotonic()

    def say(line: str) -> None:
        console.print(f"{time.monotonic() - began:5.0f} s  {line}", highlight=False, soft_wrap=True)

    outcomes: dict[str, Outcome] = {}
    for bench in BENCHES:
        if arguments.names and bench.name not in arguments.names:
            continue
        with tempfile.TemporaryDirectory(prefix=f"kiteway-bench-{bench.name}-") as work:
            context = Context(Path(work), programs, arguments.rounds, arguments.block_seconds, arguments.rows, say)
            outcomes[bench.name] = await bench.run(context)
        show(outcomes[bench.name], console)
    return outcomes


async def _until_told(work: Coroutine[Any, Any, T]) -> T:
    """Do the work; SIGTERM cancels it, as Ctrl-C does, so that nothing that it started is left."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def main() -> None:
    """Run what the command line names, and report; exit 1 if something could not be measured."""
    arguments = _arguments()
    console = Console()
    try:
        programs = _programs()
        _isolate(console)
        outcomes = asyncio.run(_until_told(_run(arguments, programs, console)))
    except BenchError as error:
        raise SystemExit(f"bench: {error}") from error
    except asyncio.CancelledError:
        raise SystemExit(128 + signal.SIGTERM) from None
    console.print(f"Report: {write(outcomes, machine(programs))}", soft_wrap=True)
    missing = [sentence for outcome in outcomes.values() for sentence in outcome.missing]
    if missing:
        raise SystemExit("Not measured:\n" + "\n".join(f"- {sentence}" for sentence in missing))


if __name__ == "__main__":
    main()
