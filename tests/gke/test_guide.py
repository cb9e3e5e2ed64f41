"""The commands of the guide, as they stand in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.gke.site import SERVICE, Site

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(900)]

_GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide"


def commands(language: str) -> list[str]:
    """Return the commands of a guide, in order."""
    text = (_GUIDE / language / "gke.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


def test_both_languages_have_the_same_commands() -> None:
    """The two guides have the same commands."""
    assert commands("en") == commands("zh")
    assert len(commands("en")) >= 10


def test_every_command_of_the_guide_works(start: Site, tmp_path: Path) -> None:
    """Run in order, each command succeeds; at the end the cluster is in its initial state."""
    before = start.state()
    for command in commands("en"):
        assert command.split()[0] in {"kiteway", "kubectl"}
        if "--remove-l4" in command:
            assert start.cluster.get("service", SERVICE)["spec"]["type"] == "LoadBalancer"
        start.shell(command, tmp_path)
        if "--remove-l4" in command:
            assert start.cluster.get("service", SERVICE)["spec"]["type"] == "ClusterIP"
    assert "BEGIN CERTIFICATE" in (tmp_path / "tls.crt").read_text()
    assert (tmp_path / "layer7" / "README.md").exists()
    after = start.state()
    assert after[f"Service/{SERVICE}"].pop("spec")["type"] == before[f"Service/{SERVICE}"].pop("spec")["type"]
    assert after == before
