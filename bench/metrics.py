"""Pages of metrics in Prometheus's text format."""

from __future__ import annotations

import math
import urllib.request
from collections.abc import Mapping


def scrape(port: int) -> dict[str, float]:
    """Return the series of 127.0.0.1:``port`` by name and labels, as they are written."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
        lines = [line.rpartition(" ") for line in page.read().decode().splitlines() if not line.startswith("#")]
    return {series: float(value) for series, _, value in lines if series}


def total(page: Mapping[str, float], name: str, *labels: str) -> int:
    """Return the sum of the series with this name that have all these labels, each ``name="value"``."""
    found = (
        value
        for series, value in page.items()
        if series.partition("{")[0] == name and all(each in series for each in labels)
    )
    return int(math.fsum(found))
