"""The histories that the filter's pools repeat (tools/generate_cache_histories.py)."""

from __future__ import annotations

import pytest

from tests.cache.conditions import Condition
from tests.cache.witnesses import WITNESSES
from tools import generate_cache_histories as generator


@pytest.mark.parametrize("condition", [each for each in Condition if each not in generator.ELSEWHERE])
def test_a_pool_without_the_condition_decides_otherwise(condition: Condition) -> None:
    """Else the history would not show that the filter's pools have the condition."""
    history = WITNESSES[condition]

    assert generator.replicas(history) != generator.replicas(history, frozenset({condition}))
