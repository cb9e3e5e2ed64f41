"""`kiteway explain`: the section of a code is found and printed."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from kiteway.cli import app
from kiteway.explanations import explanations

CLI = CliRunner()


@pytest.mark.parametrize(
    ("code", "words"), [("AllowHttpOpen", "port 80 serves the same hosts in plaintext"), ("DRAIN_0", "rolling restart")]
)
def test_a_code_is_explained(code: str, words: str) -> None:
    """The command prints the section under the code's name."""
    result = CLI.invoke(app, ["explain", code])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{code} (")
    assert "\\n" not in result.stdout
    assert words in result.stdout.replace("\n", " ")


@pytest.mark.parametrize(("typed", "code"), [("allowhttpopen", "AllowHttpOpen"), ("drain_0", "DRAIN_0")])
def test_case_does_not_count(typed: str, code: str) -> None:
    """A code that was typed in lower case is explained under its own name."""
    result = CLI.invoke(app, ["explain", typed])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{code} (")


def test_a_misspelt_code_names_the_similar_ones() -> None:
    """The error names codes that look similar."""
    result = CLI.invoke(app, ["explain", "allowhttpopened"])
    assert result.exit_code == 1
    assert "Did you mean AllowHttpOpen" in result.stderr


def test_the_list_for_programs_holds_every_code_once() -> None:
    """Without a code the JSON lists all codes, each once."""
    result = CLI.invoke(app, ["explain", "--output", "json"])
    codes = [each["code"] for each in json.loads(result.stdout)]
    assert len(codes) == len(set(codes)) == len(explanations())
