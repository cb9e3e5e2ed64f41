"""One version for the program, the chart and what the documentation says."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from kiteway import __version__

ROOT = Path(__file__).resolve().parents[2]


def test_program_chart_and_changelog_agree() -> None:
    """A release of the chart installs the image of the same release, and the changelog begins with it."""
    chart = yaml.safe_load((ROOT / "deploy/chart/Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
    first = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    assert first in {"Unreleased", __version__}


def test_what_can_be_copied_names_this_version() -> None:
    """Wheels and images in the documentation are those of this version."""
    files = ["README.md", "README.zh.md", "deploy/Dockerfile", "docs/how-to/install.md", "docs/how-to/kubernetes.md"]
    found = {
        version for name in files for version in re.findall(r"kiteway[-:](\d+\.\d+\.\d+)", (ROOT / name).read_text())
    }
    assert found == {__version__}
