"""The pages for users: their links lead somewhere, and the Chinese ones have what the English ones have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "deploy/**/*.md")
    for page in ROOT.glob(pattern)
    if "node_modules" not in page.parts
)
HOW_TO = sorted(page for page in (ROOT / "docs" / "how-to").glob("*.md") if not page.name.endswith(".zh.md"))
TRANSLATED = [page.with_name(f"{page.stem}.zh.md") for page in HOW_TO]
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_PARTS = {"heading": r"^#+ ", "row of a table": r"^\|", "item of a list": r"^(?:- |\d\. )"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_to_a_file(page: Path) -> None:
    """A relative link names a file or a folder of the repository."""
    links = [link for link in _LINK.findall(_CODE.sub("", page.read_text())) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_each_translation_is_of_a_page() -> None:
    """No Chinese page is left behind when the English one gets another name."""
    assert sorted((ROOT / "docs" / "how-to").glob("*.zh.md")) == TRANSLATED


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: page.name)
def test_a_translation_has_every_part(page: Path) -> None:
    """It has as many headings, rows, items and commands as the English page, and the same code but for its comments."""
    english = page.with_name(page.name.replace(".zh.md", ".md")).read_text()
    chinese = page.read_text()
    for what, pattern in _PARTS.items():
        counts = [len(re.findall(pattern, _CODE.sub("", text), re.MULTILINE)) for text in (english, chinese)]
        assert counts[0] == counts[1], what
    codes = [[re.sub(r"\s*# .*", "", code) for code in _CODE.findall(text)] for text in (english, chinese)]
    assert codes[0] == codes[1]
    assert f"[中文]({page.name})" in english
