"""docs/reference/diagnostics.md: every reason that the code can give, with what it says and advises."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tools.reference.markdown import GENERATED, plain, table
from tools.reference.reasons import Reason, reasons

_INTRODUCTION = """
# Diagnostics

The diagnostics that `kiteway plan`, `up`, `status`, `doctor` and `gke` report. The reason is a stable code; it is GKE's own
word if GKE has one. An **error** is a problem for which GKE refuses the object; Kiteway goes on with the last good form of
the object. A **warning** is a problem of an object that GKE accepts, or a difference between GKE and Kiteway. A **note** is
for information. Words in *italics* stand for values from your objects.

"""

_IN_THE_VALUE = "The value cannot be read; the message quotes what is wrong with it."


def render() -> str:
    """Return the page."""
    found = reasons()
    rows = (
        (f"[{reason.name}](#{reason.name.lower()})", ", ".join(reason.severities), _first(reason)) for reason in found
    )
    parts = [GENERATED, _INTRODUCTION, table(("Reason", "Severity", "Says"), rows)]
    parts += [_section(reason) for reason in found]
    return "".join(parts)


def _first(reason: Reason) -> str:
    return _readable(reason.meaning or next(iter(reason.messages), _IN_THE_VALUE))


def _section(reason: Reason) -> str:
    severities = " or ".join(reason.severities)
    parts = [f"\n## {reason.name}\n\n{severities.capitalize()}."]
    if reason.meaning or not reason.messages:
        parts.append(f" {_first(reason)}")
    parts.append("\n")
    parts += _list("Says:", reason.messages)
    parts += _list("What to do:", reason.fixes)
    return "".join(parts)


def _list(title: str, templates: Iterable[str]) -> list[str]:
    lines = [f"- {_readable(template)}\n" for template in templates]
    return [f"\n{title}\n\n", *lines] if lines else []


def _readable(template: str) -> str:
    """Write ``{name}`` as *name*, and ``{{`` as a brace."""
    parts = re.split(r"(\{\{|\}\}|\{[^{}]*\})", template.replace("``", "`"))
    inside = False
    shown = []
    for part in parts:
        if part in {"{{", "}}"}:
            shown.append(part[0])
        elif part.startswith("{"):
            word = part[1:-1].replace("_", " ")
            word = "…" if word == "..." else word
            shown.append(word.upper() if inside else f"*{word}*")
        else:
            inside ^= bool(part.count("`") % 2)
            shown.append(part if inside else plain(part))
    return "".join(shown)
