"""`kiteway plan` says that it knows the given files only, when an object is missing there."""

from __future__ import annotations

import shutil
from pathlib import Path

from typer.testing import CliRunner

from kiteway.cli import app

GUIDE = Path(__file__).parents[2] / "examples/guide-self-managed"


def _plan(folder: Path) -> str:
    return CliRunner().invoke(app, ["plan", "-f", str(folder)]).output


def test_a_missing_secret_may_be_in_the_cluster() -> None:
    """The guide makes its Secret with kubectl, so it is in no file."""
    printed = _plan(GUIDE)
    assert "error SecretNotFound" in printed
    assert "If your cluster has it" in printed
    assert "kubectl get -n default secret/my-release-milvus-tls -o yaml" in printed


def test_where_nothing_is_missing_there_is_no_such_note(tmp_path: Path) -> None:
    """Other errors do not bring the note."""
    shutil.copy(GUIDE / "backendconfig.yaml", tmp_path)
    printed = _plan(tmp_path)
    assert "warning" in printed
    assert "If your cluster has it" not in printed
