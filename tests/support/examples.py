"""How many examples a property test has: all of them, or in a quick run (`make test-unit`) a quarter."""

from __future__ import annotations

import os

from hypothesis import settings

QUICK = os.environ.get("KITEWAY_EXAMPLES") == "quick"
DEFAULT = 100
"""Examples of a property test that does not say how many, unless the run is quick."""


def number(whole: int = DEFAULT) -> int:
    """Return how many of `whole` examples this run has; at least ten of them, or all if there are fewer."""
    return max(min(whole, 10), whole // 4) if QUICK else whole


def examples(whole: int) -> settings:
    """Return the settings of a property test with `whole` examples, to be used as its decorator."""
    return settings(max_examples=number(whole))
