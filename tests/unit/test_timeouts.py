"""What a run of tests reports when a test takes too long."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_ENDLESS = """
import time

from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=100_000, deadline=None, database=None)
@given(st.data())
def test_endless(data):
    data.draw(st.integers())
    time.sleep(0.1)
    data.draw(st.integers())
"""


def test_a_property_test_that_takes_too_long_is_no_flaky_one(tmp_path: Path) -> None:
    """The report of a property test that was interrupted within an example names the timeout."""
    (tmp_path / "test_endless.py").write_text(_ENDLESS)
    command = [sys.executable, "-m", "pytest", "-c", "/dev/null", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    command += ["--timeout", "1", str(tmp_path)]
    report = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False).stdout
    assert "1 failed" in report
    assert "Failed: Timeout (>1.0s)" in report
    assert "Flaky" not in report
