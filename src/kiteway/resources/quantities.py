"""Durations (GEP-2257) and quantities of bytes (Kubernetes' resource.Quantity), as text in a manifest."""

from __future__ import annotations

import re
from typing import Final

from kiteway.resources.places import quoted
from kiteway.resources.schema import Rule, Violation

_DURATION = re.compile(r"(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}\Z")
_DURATION_PART = re.compile(r"([0-9]+)(h|ms|m|s)")
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}

_QUANTITY = re.compile(r"([0-9]{1,15})(k|M|G|T|Ki|Mi|Gi|Ti)?\Z")
_FACTORS: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12} | {
    "Ki": 1 << 10,
    "Mi": 1 << 20,
    "Gi": 1 << 30,
    "Ti": 1 << 40,
}


def seconds_of(text: str) -> float | None:
    """Return the seconds of a duration such as ``200ms`` or ``1m30s``; None if ``text`` is not one."""
    if not _DURATION.match(text):
        return None
    return round(sum(int(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text)), 3)


def bytes_of(quantity: int | str) -> int | None:
    """Return the bytes of a quantity such as ``64Mi`` or ``1000``; None if ``quantity`` is not one."""
    if isinstance(quantity, int):
        return quantity
    found = _QUANTITY.match(quantity)
    return int(found[1]) * _FACTORS[found[2] or ""] if found else None


def duration(least: str, most: str) -> Rule:
    """Allow durations from ``least`` to ``most``, both included."""
    low, high = seconds_of(least), seconds_of(most)
    if low is None or high is None:
        raise ValueError(f"{least} to {most}")

    def rule(value: str) -> Violation | None:
        seconds = seconds_of(value)
        if seconds is None:
            return Violation(f"must be a duration, not {quoted(value)}.", "Write it as 200ms, 2s or 1m30s.")
        if not low <= seconds <= high:
            return Violation(f"must be from {least} to {most}, not {quoted(value)}.")
        return None

    return rule


def byte_quantity(least: int, most: int) -> Rule:
    """Allow quantities from ``least`` to ``most`` bytes, both included."""

    def rule(value: int | str) -> Violation | None:
        size = bytes_of(value)
        if size is None:
            return Violation(f"must be a number of bytes, not {quoted(str(value))}.", "Write it as 1000, 64Mi or 1Gi.")
        if not least <= size <= most:
            return Violation(f"must be from {least} to {most} bytes, not {size}.")
        return None

    return rule
