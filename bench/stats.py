"""Medians, quantiles, and the interval of a median."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_RESAMPLES = 5000


@dataclass(frozen=True)
class Estimate:
    """A median and the interval that holds it with 95 % confidence."""

    median: float
    low: float
    high: float


def median_with_interval(values: Sequence[float], seed: int = 0) -> Estimate:
    """
    Return the median of ``values`` and its 95 % interval: percentile bootstrap over the values.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values to take a median of")
    chance = random.Random(seed)
    medians = [statistics.median(chance.choices(values, k=len(values))) for _ in range(_RESAMPLES)]
    return Estimate(statistics.median(values), quantile(medians, 0.025), quantile(medians, 0.975))


def quantile(values: Sequence[float], fraction: float) -> float:
    """
    Return the value below which ``fraction`` (0 to 1) of ``values`` lie, the nearest one that occurs.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values to take a quantile of")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(fraction * (len(ordered) - 1)))]
