"""
Generate docs/reference from the types, the rules and the commands.

Run as ``python -m tools.generate_reference`` to write the pages; ``--check`` writes nothing and exits 1 when one is
out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tools.reference import (
    alerts,
    annotation_keys,
    chart,
    cli,
    diagnostics,
    doctor,
    json_output,
    limits,
    resources,
    status,
)

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs/reference"
PAGES = {
    # Beside the values, where Helm and its users look for it.
    "../../deploy/chart/README.md": chart.render,
    "alerts.md": alerts.render,
    "annotations.md": annotation_keys.render,
    "cli.md": cli.render,
    "diagnostics.md": diagnostics.render,
    "doctor.md": doctor.render,
    "json-output.md": json_output.render,
    "limits.md": limits.render,
    "resources.md": resources.render,
    "status.md": status.render,
    "status.schema.json": status.render_schema,
    **json_output.SCHEMAS,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` say which are out of date."""
    if arguments not in ([], ["--check"]):
        print("usage: generate_reference.py [--check]", file=sys.stderr)
        return 2
    stale = []
    for name, render in PAGES.items():
        path, text = FOLDER / name, render()
        if not arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(str(path.resolve().relative_to(ROOT)))
    if stale:
        print(f"{', '.join(stale)} out of date: run `make reference`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
