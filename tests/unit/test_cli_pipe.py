"""A reader that leaves early, as `head` does, ends a command without an error on the terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KITEWAY = Path(sys.executable).with_name("kiteway")


@pytest.mark.parametrize(
    "arguments",
    [("explain", "SecretNotFound"), ("plan", "-f", "examples/guide-self-managed", "-o", "json"), ("up", "--help")],
    ids=["table", "json", "help"],
)
def test_nothing_is_said_about_a_closed_pipe(arguments: tuple[str, ...]) -> None:
    """Neither a traceback nor "Exception ignored" follows the lines that were wanted."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run(
            [KITEWAY, *arguments], check=False, stdout=closed, stderr=subprocess.PIPE, text=True, cwd=root
        )
    shown = [line for line in done.stderr.splitlines() if "Error" in line or "Traceback" in line or "ignored" in line]
    assert shown == []
