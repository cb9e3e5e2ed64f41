"""The meaning of each diagnostic and of each rule of `kiteway doctor`: the sections of docs/reference, by code."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PACKAGED: Final = Path(__file__).resolve().parent / "_reference"
_IN_TREE: Final = Path(__file__).resolve().parents[2] / "docs" / "reference"
_PAGES: Final = {"diagnostic": ("diagnostics.md", "##"), "doctor rule": ("doctor.md", "###")}
"""By kind, the page and the level of its sections' headings."""
_LINK: Final = re.compile(r"\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    The explanation of one code.

    Attributes:
        code: the reason of a diagnostic, such as ``AllowHttpOpen``, or the id of a rule, such as ``DRAIN_0``.
        kind: ``diagnostic`` or ``doctor rule``.
        text: the section of the reference, as Markdown without links.
    """

    code: str
    kind: str
    text: str


def explanations() -> dict[str, Explanation]:
    """
    Return all, by code.

    Raises:
        OSError: the reference is not installed.
    """
    folder = _PACKAGED if _PACKAGED.is_dir() else _IN_TREE
    found: dict[str, Explanation] = {}
    for kind, (page, level) in _PAGES.items():
        section = re.compile(rf"^{level} (\w+)\n+(.*?)(?=^##+ |\Z)", re.MULTILINE | re.DOTALL)
        for code, text in section.findall((folder / page).read_text(encoding="utf-8")):
            found[code] = Explanation(code, kind, _LINK.sub(r"\1", text).strip())
    return found


def alike(code: str, known: dict[str, Explanation]) -> list[str]:
    """Return at most three known codes that look like ``code``, the most similar first; case does not count."""
    by_lower = {each.lower(): each for each in known}
    return [by_lower[each] for each in difflib.get_close_matches(code.lower(), by_lower, 3, 0.6)]
