"""No code in the working directory is run: how Kiteway starts Python. `tests/e2e` runs the commands."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "kiteway"


def test_every_python_child_leaves_the_working_directory_out() -> None:
    """Every start of Python has ``-P`` or ``-I`` first: ``-m`` and ``-c`` import from the working directory."""
    found = {f"{path.name}:{line}": option for path in SOURCE.rglob("*.py") for line, option in _starts(path)}
    assert len(found) >= 5
    assert {where: option for where, option in found.items() if option not in {"-P", "-I"}} == {}


def _starts(path: Path) -> Iterator[tuple[int, object]]:
    text = path.read_text()
    if "sys.executable" not in text:
        return  # the syntax trees of all files take two seconds
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Tuple | ast.List):
            continue
        for first, second in zip(node.elts, node.elts[1:], strict=False):
            if ast.unparse(first) == "sys.executable":
                yield node.lineno, second.value if isinstance(second, ast.Constant) else None
