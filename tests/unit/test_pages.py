"""The pages for users: their links lead somewhere, and the Chinese ones have what the English ones have."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "deploy/**/*.md")
    for page in ROOT.glob(pattern)
    if "node_modules" not in page.parts
)
DOCS = ROOT / "docs"
HOW_TO = sorted(page for page in (DOCS / "how-to").glob("*.md") if not page.name.endswith(".zh.md"))
TRANSLATED = {
    page.with_name(f"{page.stem}.zh.md"): page for page in (*HOW_TO, ROOT / "README.md", DOCS / "differences.md")
}
GUIDE = {DOCS / "guide/zh/gke.md": DOCS / "guide/en/gke.md"}
"""The guide has a folder for each language."""
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
_CODE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_LEADS_TO_ENGLISH = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+\.md)(?:#[^)\s]*)?\)(?!\uff08英文)")
_PARTS = {"heading": r"^#+ ", "row of a table": r"^\|", "item of a list": r"^(?:- |\d\. )"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_to_a_file(page: Path) -> None:
    """A relative link names a file or a folder of the repository."""
    links = [link for link in _LINK.findall(_CODE.sub("", page.read_text())) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_each_translation_is_of_a_page() -> None:
    """No Chinese page is left behind when the English one gets another name."""
    found = {page for page in PAGES if page.name.endswith(".zh.md")}
    assert found == {*TRANSLATED, DOCS / "reference/faults.zh.md"}  # which `make faults` makes


@pytest.mark.parametrize(
    ("page", "english"),
    [pytest.param(*pair, id=str(pair[0].relative_to(ROOT))) for pair in (TRANSLATED | GUIDE).items()],
)
def test_a_translation_has_every_part(page: Path, english: Path) -> None:
    """
    It has as many headings, rows, items and commands as the English page, the same code but for its comments, and names and
    links to the same things.
    """
    source, text = english.read_text(), page.read_text()
    for what, pattern in _PARTS.items():
        counts = [len(re.findall(pattern, _CODE.sub("", each), re.MULTILINE)) for each in (source, text)]
        assert counts[0] == counts[1], what
    assert _code(source) == _code(text)
    assert _names(source) == _names(text)
    assert _targets(source) == _targets(text)


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: page.name)
def test_a_page_links_to_its_translation(page: Path) -> None:
    """The reader of either page finds the other one on it."""
    english = TRANSLATED[page]
    assert f"[中文]({page.name})" in english.read_text()
    assert f"[English]({english.name})" in page.read_text()


def test_the_guide_links_to_its_translation() -> None:
    """The reader of either guide finds the other one on it."""
    assert "[中文](../zh/gke.md)" in (DOCS / "guide/en/gke.md").read_text()
    assert "[English](../en/gke.md)" in (DOCS / "guide/zh/gke.md").read_text()


@pytest.mark.parametrize("page", TRANSLATED | GUIDE, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_chinese_page_marks_links_to_english_pages(page: Path) -> None:
    """A reader of Chinese knows which pages are in English before opening them."""
    links = _LEADS_TO_ENGLISH.findall(page.read_text())
    english = os.path.relpath((TRANSLATED | GUIDE)[page], page.parent)
    assert [link for link in links if not link.endswith(".zh.md") and "/zh/" not in link] == [english]


def _code(text: str) -> list[str]:
    """Return the blocks of code without their comments; a picture of boxes has words of its language."""
    return [re.sub(r"\s*# .*", "", code) for code in _CODE.findall(text) if "┌" not in code]


def _names(text: str) -> set[str]:
    return {" ".join(name.split()) for name in _NAME.findall(_CODE.sub("", text))}


def _targets(text: str) -> Counter[str]:
    """Count what a page links to, whatever the language of the target."""
    found = (link.replace(".zh.", ".").replace("/zh/", "/en/") for link in _LINK.findall(_CODE.sub("", text)))
    return Counter(found)


@pytest.mark.parametrize(
    "page",
    [*TRANSLATED, *GUIDE, ROOT / "src/kiteway/dashboard/static/zh.js"],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_chinese_pages_have_the_words_of_the_command_line(page: Path) -> None:
    """Collection and pool are not translated (Milvus's Chinese guide writes Collection), and a host is 域名."""
    assert [word for word in ("集合", "后端池", "主机") if word in page.read_text()] == []
