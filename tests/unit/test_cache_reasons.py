"""The reasons why the cache leaves a read alone, in the filter and in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_reason_of_the_filter_is_explained() -> None:
    """The table of docs/how-to/cache.md has each label of reason.rs, and no other."""
    source = (ROOT / "filter/core/src/cache/reason.rs").read_text()
    labels = re.findall(r'^    \w+ = "([a-z-]+)",$', source, re.MULTILINE)
    page = (ROOT / "docs/how-to/cache.md").read_text()
    table = page.partition("| reason | meaning |\n")[2].partition("\n\n")[0]
    explained = [label for line in table.splitlines()[1:] for label in re.findall(r"`([a-z-]+)`", line.split("|")[1])]

    assert len(labels) > 20
    assert sorted(labels) == sorted(explained)
