"""A change as a unified diff of YAML, without secrets."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

import yaml

_SECRET = re.compile(r"(?i)(password|passwd|secret(access)?key|accesskey(id)?|token|credential|api_?key)$")
_SECRET_LINE = re.compile(
    r"(?im)^(\s*(?:-\s+)?[\w.-]*(?:password|passwd|secret(?:access)?key|accesskey(?:id)?|token|credential|api_?key)"
    r"['\"]?\s*:[ \t]*)\S.*$"
)
HIDDEN = "(not shown)"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, so that a diff shows their lines."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump(value: Any) -> str:
    """Return YAML in which texts of several lines stay readable."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=4096)


def redacted(value: Any) -> Any:
    """Return the value with secrets hidden, recognised by their keys, also inside texts of YAML."""
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if _SECRET.search(str(key)) and not isinstance(item, Mapping | list) else redacted(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [redacted(item) for item in value]
    if isinstance(value, str) and "\n" in value:
        return _SECRET_LINE.sub(rf"\g<1>{HIDDEN}", value)
    return value


def diff(what: str, before: Any, after: Any) -> str:
    """
    Return a unified diff; empty when nothing changes.

    Args:
        what: a name for the header, e.g. ``Ingress default/my-release-milvus``.
        before: a value; None if it is not there.
        after: a value; None if it goes away.
    """
    old = "" if before is None else dump(redacted(before))
    new = "" if after is None else dump(redacted(after))
    if old == new:
        return ""
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), f"{what} (now)", f"{what} (then)", lineterm="", n=3
    )
    return "\n".join(lines) + "\n"
