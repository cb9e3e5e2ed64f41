"""Commands print complete output, to a terminal and to a pipe."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kiteway.cli import app
from kiteway.cli.status_show import print_status
from kiteway.cli.terminal import Terminal, table
from kiteway.diagnostics import Diagnostic, ObjectRef, Position, Severity
from kiteway.report.problem import Problem
from kiteway.report.status import State, Status

CLI = CliRunner()
EXAMPLE = Path(__file__).parents[2] / "examples" / "guide-self-managed"
LONG = "default/a-service-of-quite-some-length/19530"


def test_a_narrow_terminal_folds_a_cell() -> None:
    """If the terminal is narrower than the table, no character of a cell is lost."""
    terminal = Terminal(file=io.StringIO(), soft_wrap=True, force_terminal=True, width=30, color_system=None)
    rows = table("POOL", "HOST")
    rows.add_row(LONG, "milvus.example.com")
    terminal.print(rows)
    printed = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in printed
    first = [row.split()[0] for row in printed.splitlines()[1:]]
    assert "".join(first).startswith(LONG)


def test_each_row_is_one_line_in_a_pipe() -> None:
    """In a pipe each row is one line."""
    result = CLI.invoke(app, ["plan", "-f", str(EXAMPLE)])
    row = next(line for line in result.stdout.splitlines() if "my-release.milvus.io" in line)
    assert row.split() == [
        "my-release.milvus.io",
        "/",
        "default/my-release-milvus/19530",
        "no",
        "serve",
        "default/my-release-milvus",
    ]


def test_the_summary_counts_one_error_as_one() -> None:
    """One error is "1 error", not "1 errors"."""
    result = CLI.invoke(app, ["plan", "-f", "no-such-file.yaml"])
    assert "1 error, 0 warnings" in result.stderr


def test_status_says_where_a_diagnostic_is_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """A diagnostic in the status has the same text as in `plan`."""
    diagnostic = Diagnostic(
        Severity.ERROR,
        "SecretNotFound",
        "it does not exist.",
        "Create it.",
        ObjectRef("Ingress", "default", "a"),
        position=Position("/m/ingress.yaml", 11, 17),
        path="spec.tls[0].secretName",
    )
    print_status(
        Status(version="1", state=State.DEGRADED, ready=True, diagnostics=(Problem.of_diagnostic(diagnostic),))
    )
    printed = capsys.readouterr().out
    assert (
        "/m/ingress.yaml:11:17: error SecretNotFound: Ingress default/a: spec.tls[0].secretName: it does not" in printed
    )
    assert "-> Create it." in printed


@pytest.mark.parametrize("command", [["up"], ["controller"], ["cert", "create"], ["gke", "plan"]])
def test_the_help_cuts_no_word(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A path or a default that is wider than its column goes on in the next line."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)
    done = CliRunner().invoke(app, [*command, "--help"])
    assert done.exit_code == 0
    assert "--help" in done.output
    assert "\N{HORIZONTAL ELLIPSIS}" not in done.output
