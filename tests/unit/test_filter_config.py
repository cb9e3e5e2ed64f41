"""The configuration of the filter in Envoy is the same for Kiteway, which writes it, and for the filter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from kiteway.envoy.filter_config import (
    AdmissionConfig,
    CacheConfig,
    CachedCollectionConfig,
    FilterConfig,
    LimitConfig,
    Mode,
    PolicyConfig,
    RouteConfig,
)

CASES = msgspec.json.decode((Path(__file__).parents[2] / "filter/testdata/configuration.json").read_bytes())
KINDS: dict[str, type[FilterConfig | RouteConfig | PolicyConfig | CacheConfig]] = {
    "filter": FilterConfig,
    "route": RouteConfig,
    "policy": PolicyConfig,
    "cache": CacheConfig,
}
ALL = [(kind, case) for kind in KINDS for case in CASES[kind]]


@pytest.mark.parametrize(("kind", "case"), ALL, ids=lambda value: value if isinstance(value, str) else value["json"])
def test_each_case_has_its_meaning(kind: str, case: dict[str, Any]) -> None:
    """The Python types accept and refuse the same as the filter; writing a configuration preserves its meaning."""
    if "meaning" not in case:
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(case["json"], type=KINDS[kind])
        return
    config = msgspec.json.decode(case["json"], type=KINDS[kind])
    assert config == msgspec.convert(case["meaning"], KINDS[kind])
    assert msgspec.json.decode(config.json()) == case["meaning"]


def test_every_part_has_cases() -> None:
    """Every mode and every part of a route has a case, so that the filter's tests cover it."""
    assert {case["meaning"]["mode"] for case in CASES["filter"] if "meaning" in case} == set(Mode)
    parts = {part for case in CASES["route"] for part in case.get("meaning", {})}
    # A policy and a cache have cases of their own.
    assert parts | {"policy", "cache"} == set(RouteConfig.__struct_fields__)
    policies = [case["meaning"] for case in CASES["policy"] if "meaning" in case]
    assert {part for policy in policies for part in policy} == set(PolicyConfig.__struct_encode_fields__)
    limits = {part for policy in policies for limit in policy.get("limits", ()) for part in limit}
    assert limits == set(LimitConfig.__struct_encode_fields__)
    admissions = {part for policy in policies for part in policy.get("admission", ())}
    assert admissions == set(AdmissionConfig.__struct_encode_fields__)
    caches = [case["meaning"] for case in CASES["cache"] if "meaning" in case]
    assert {part for cache in caches for part in cache} == set(CacheConfig.__struct_encode_fields__)
    collections = {part for cache in caches for each in cache.get("collections", ()) for part in each}
    assert collections == set(CachedCollectionConfig.__struct_encode_fields__)
