"""Rows and vectors that are the same in every run."""

from __future__ import annotations

from typing import Any

DIMENSION = 8
KITES = "kites"


def vector(number: int, dimension: int = DIMENSION) -> list[float]:
    """Return the vector of a row; all are different."""
    return [float((number * 7 + place * 3) % 31) / 8 for place in range(dimension)]


COLOURS = ("red", "green", "blue")


def kite(number: int) -> dict[str, Any]:
    """Return a row of the collection `KITES`: every fifth has no price, every third a dynamic field."""
    row: dict[str, Any] = {
        "id": number,
        "vector": vector(number),
        "colour": COLOURS[number % 3],
        "price": None if number % 5 == 0 else number * 1.5,
        "tags": {"maker": f"m{number % 4}", "size": {"w": number, "h": number * 2}, "seen": [number, number + 1]},
        "marks": [number, number * 2, number * 3],
    }
    if number % 3 == 0:
        row["wind"] = number % 7
    return row
