"""The Milvus that `kiteway up --to` stands in front of."""

from __future__ import annotations

from collections.abc import Iterable

from kiteway.cli.values import parse_health
from kiteway.probe import parse_endpoint
from kiteway.quickstart import MilvusTarget


def parse_targets(texts: Iterable[str]) -> tuple[MilvusTarget, ...]:
    """
    Read a list of ``HOST[:PORT][,health=PORT|none]``.

    Raises:
        ValueError: the value is invalid; the message says why.
    """
    found: dict[str, MilvusTarget] = {}
    for text in texts:
        address, *extras = text.split(",")
        endpoint = parse_endpoint(address, 19530)
        target = MilvusTarget(endpoint.host, endpoint.port)
        for extra in extras:
            health = parse_health(extra)
            if health is None and extra != "health=none":
                raise ValueError(f'"{extra}" in "{text}" is not health=PORT or health=none')
            target = MilvusTarget(endpoint.host, endpoint.port, health, find_health=False)
        if str(target) in found:
            raise ValueError(f"--to {target} is given twice")
        found[str(target)] = target
    return tuple(found.values())
