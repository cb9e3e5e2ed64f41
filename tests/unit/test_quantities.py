"""Durations and quantities of bytes as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiteway.resources.quantities import byte_quantity, bytes_of, duration, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("200ms", 0.2), ("2s", 2.0), ("1m30s", 90.0), ("1h", 3600.0), ("1s500ms", 1.5), ("0s", 0.0)],
)
def test_durations_are_those_of_gateway_api(text: str, seconds: float) -> None:
    """A duration is a sum of hours, minutes, seconds and milliseconds."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "1", "1.5s", "-1s", "1d", "1 s", "100000s", "1s1s1s1s1s", "1S", "1s\n", "\u0661s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Gateway API's durations have no fractions, no signs and at most four parts."""
    assert seconds_of(text) is None
    assert duration("1ms", "1h")(text) is not None


@pytest.mark.parametrize(
    ("text", "size"), [(5, 5), ("5", 5), ("64Mi", 64 << 20), ("1k", 1000), ("2G", 2 * 10**9), ("1Ti", 1 << 40)]
)
def test_quantities_are_those_of_kubernetes(text: int | str, size: int) -> None:
    """A quantity is a number of bytes with an optional suffix."""
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "1MB", "1.5Gi", "-1", "1e3", "1K", "1 Mi"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    """What Kubernetes refuses, or no byte count can be, is refused."""
    assert bytes_of(text) is None
    assert byte_quantity(1, 10)(text) is not None


def test_bounds_of_a_duration_are_included() -> None:
    """The least and the most are allowed, what is beyond them is not."""
    rule = duration("1ms", "1h")
    assert [value for value in ("0s", "1ms", "1h", "1h1ms") if rule(value) is None] == ["1ms", "1h"]


@given(st.text() | st.integers())
def test_no_text_makes_the_readers_raise(value: int | str) -> None:
    """Whatever is written, there is a value or none."""
    if isinstance(value, str):
        seconds_of(value)
    bytes_of(value)
