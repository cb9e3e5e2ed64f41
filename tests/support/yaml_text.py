"""YAML that tests write and read: by libyaml where it is there, which takes a tenth of the time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def documents(values: Iterable[Any]) -> str:
    """Return values as the documents of one file, keys in their order."""
    given = list(values)
    try:
        found: str = yaml.dump_all(given, Dumper=Dumper, sort_keys=False)
    except UnicodeEncodeError:  # libyaml takes no half of a surrogate pair
        found = yaml.safe_dump_all(given, sort_keys=False)
    return found


def load(text: str) -> Any:
    """Return the value of the one document of a text."""
    return yaml.load(text, _Loader)  # noqa: S506 - both loaders are safe ones
