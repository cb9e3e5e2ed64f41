"""docs/architecture.md: its table of packages has the imports of the code."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "kiteway"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
BASE = set(re.findall(r"`(\w+)`", PAGE.partition("leaves out the base modules (")[2].partition(")")[0]))
"""The modules that every package may import."""
ROW = re.compile(r"^\| `(\w+)`[^|]*\|[^|]*\|([^|]*)\|$", re.MULTILINE)
TABLE = PAGE.partition("| package |")[2].partition("\n\n")[0]
WRITTEN = {package: set(re.findall(r"`(\w+)`", column)) for package, column in ROW.findall(TABLE)}
NOT_WRITTEN = {"_proto", "_filter", "__init__"}


def _modules(node: ast.AST) -> Iterator[str]:
    """Yield the packages or modules directly below kiteway that a statement imports."""
    if isinstance(node, ast.ImportFrom) and node.module == "kiteway":
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kiteway."):
        yield (node.module or "").split(".")[1]
    elif isinstance(node, ast.Import):
        yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("kiteway."))


@functools.cache
def _imports() -> dict[str, set[str]]:
    """Return what each package or module directly below kiteway imports from the others; the source is read once."""
    found: dict[str, set[str]] = {}
    for file in SOURCE.rglob("*.py"):
        package = file.relative_to(SOURCE).with_suffix("").parts[0]
        if package not in NOT_WRITTEN:
            nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            names = {name for node in nodes for name in _modules(node)}
            found.setdefault(package, set()).update(names - {package} - NOT_WRITTEN)
    return found


def test_the_table_has_every_package() -> None:
    """Each package and module is in the table or among the base modules, and nothing else is."""
    assert set(WRITTEN) | BASE == set(_imports())
    assert not set(WRITTEN) & BASE


def test_the_table_has_the_imports_of_the_code() -> None:
    """The column "imports" names what a package imports, and nothing else; `cli` may import everything."""
    real = {package: names & set(WRITTEN) for package, names in _imports().items() if package in WRITTEN}
    differing = {
        package: f"missing on the page: {sorted(real[package] - names)}; not in the code: {sorted(names - real[package])}"
        for package, names in WRITTEN.items()
        if package != "cli" and names != real[package]
    }
    assert not differing, differing


def test_base_modules_import_nothing_but_each_other() -> None:
    """A base module imports base modules only."""
    assert not {name: used - BASE for name, used in _imports().items() if name in BASE and used - BASE}
