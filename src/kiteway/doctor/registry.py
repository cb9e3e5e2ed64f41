"""The registry of all rules; a file below `rules` is added to it by itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, Final

from kiteway.doctor import rules
from kiteway.doctor.rule import Rule, Scope


def _discovered() -> Iterator[Rule[Any]]:
    for module in pkgutil.walk_packages(rules.__path__, f"{rules.__name__}."):
        if not module.ispkg:
            yield importlib.import_module(module.name).RULE


_ORDER = {scope: number for number, scope in enumerate(Scope)}

RULES: Final[tuple[Rule[Any], ...]] = tuple(sorted(_discovered(), key=lambda rule: (_ORDER[rule.scope], rule.id)))
"""Files first, then addresses, clusters and this machine; by id within each."""
