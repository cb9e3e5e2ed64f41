"""The results, for people and for programs."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from bench.outcome import Outcome, Table
from bench.picture import svg
from kiteway import __version__
from kiteway.envoy.binary import find_envoy

RESULTS = Path(__file__).resolve().parent / "results"
_VERSIONS = {"nginx": "-v", "haproxy": "-v", "h2load": "--version", "nghttpd": "--version"}


def machine(programs: Mapping[str, Path]) -> dict[str, Any]:
    """Return where and with what it was measured."""
    versions = {"kiteway": __version__, "envoy": _first_line([str(find_envoy()), "--version"])}
    versions |= {name: _first_line([str(programs[name]), flag]) for name, flag in _VERSIONS.items() if name in programs}
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return {
        "time": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "cpu": cpu.partition(":")[2].strip() or platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": versions,
    }


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    line = next((line.strip() for line in done.stdout.splitlines() if line.strip()), "")
    return line.removeprefix(command[0]).strip()  # Envoy begins with its own path


def write(outcomes: Mapping[str, Outcome], about: Mapping[str, Any]) -> Path:
    """Write ``report.md``, and a picture and a JSON file for each outcome, to `RESULTS`; return the report's path."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Bench report",
        "",
        f"{about['time']}, {about['cpus']} CPUs ({about['cpu']}), Linux {about['kernel']}.",
        "",
    ]
    lines += [f"- {name}: {version}" for name, version in about["versions"].items()]
    for name, outcome in outcomes.items():
        data = {"machine": about, "missing": list(outcome.missing), **outcome.data}
        (RESULTS / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")
        lines += ["", f"## {outcome.title}", ""]
        for paragraph in outcome.text:
            lines += [paragraph, ""]
        if outcome.missing:
            lines += ["Not measured:", "", *(f"- {sentence}" for sentence in outcome.missing), ""]
        if outcome.charts:
            (RESULTS / f"{name}.svg").write_text(svg(outcome.charts))
            lines += [f"![{outcome.title}]({name}.svg)", ""]
        for table in outcome.tables:
            lines += [f"### {table.title}", "", *_markdown(table), ""]
    report = RESULTS / "report.md"
    report.write_text("\n".join(lines).rstrip() + "\n")
    return report


def _markdown(table: Table) -> list[str]:
    rows = [table.header, ["---", *("---:" for _ in table.header[1:])], *table.rows]
    return ["| " + " | ".join(row) + " |" for row in rows]


def show(outcome: Outcome, console: Console) -> None:
    """Print the tables."""
    for table in outcome.tables:
        grid = RichTable(title=table.title, title_justify="left", box=box.SIMPLE)
        for index, head in enumerate(table.header):
            grid.add_column(head, justify="right" if index else "left", no_wrap=True)
        for row in table.rows:
            grid.add_row(*row)
        console.print(grid)
