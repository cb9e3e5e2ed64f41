"""Python's garbage collector, kept away from work that others wait for."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collect_later() -> Iterator[None]:
    """
    Collect no cycles until the end of the ``with``.

    With thousands of objects in memory the collector looks at all of them for a tenth of a second whenever their number has
    grown by a quarter, and no other thread runs meanwhile. The objects are not cycles, so nothing of them is found. Work that
    overlaps with other work of this kind may end the pause early; then the collector is as it was without it.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
