"""Text of tenants is escaped wherever Kiteway writes: in commands, in the log, and by one module on the terminal."""

from __future__ import annotations

import ast
import shlex
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from kiteway.cli import app
from kiteway.printable import suggested
from tests.unit.test_printable import HOSTILE, assert_harmless, hostile_manifests

SOURCE = Path(__file__).parents[2] / "src" / "kiteway"


def test_suggested_commands_are_quoted() -> None:
    """In a suggested command a name with a shell's characters is one word."""
    name = "x; rm -rf ~ `id`$(id)'\""
    words = suggested("kubectl", "create", "secret", "tls", name)
    assert shlex.split(words[1:-1]) == ["kubectl", "create", "secret", "tls", name]
    done = CliRunner().invoke(app, ["plan", "-f", "-"], input=hostile_manifests(name))
    begin = "Create it: `kubectl create secret generic "
    quoted = [text.partition(begin)[2] for text in done.output.splitlines() if begin in text]
    assert len(quoted) == 2, done.output
    for words in quoted:
        assert shlex.split(words.rpartition("`")[0])[0] == name


def test_nothing_else_writes_to_the_terminal() -> None:
    """Only one module uses Rich's text, console and markup, so no other can forget to escape text."""
    found = {
        f"{path.name}: {name.name}"
        for path in SOURCE.rglob("*.py")
        if path.name != "terminal.py" and "rich" in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich")
        for name in node.names
        if name.name not in {"Table", "Group", "Live"}  # containers, whose strings the console of terminal.py renders
    }
    assert found == set()


def test_the_control_plane_s_log_has_one_line_an_event() -> None:
    """A tenant's text cannot forge a line of the control plane's log, in Kiteway's or a library's messages."""
    program = (
        "import logging, sys, structlog\n"
        "from kiteway.controlplane.log import configure\n"
        "configure()\n"
        f"text = {HOSTILE!r}\n"
        "structlog.get_logger('x').info(text, text=text, name=text)\n"
        "logging.getLogger('library').warning('%s', text)\n"
        "try:\n    raise ValueError(text)\n"
        "except ValueError:\n    logging.getLogger('library').exception('failed')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 1
    assert len(done.stderr.splitlines()) == 2
    assert_harmless(done.stdout + done.stderr)
