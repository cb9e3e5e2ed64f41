"""The pause of Python's garbage collector."""

from __future__ import annotations

import gc

import pytest

from kiteway.collector import collect_later


def test_the_collector_rests_until_the_end() -> None:
    """It is off inside, and on again afterwards, after an exception too."""
    with collect_later():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="x"), collect_later():
        raise ValueError("x")
    assert gc.isenabled()
