"""What is said of caches: in `kiteway status`, in `kiteway top` and on the page of metrics."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path

import httpx2
import msgspec
import pytest

from kiteway.cli.cache_show import cache_lines
from kiteway.envoy.admin import AdminClient
from kiteway.envoy.ads import AdsState
from kiteway.envoy.calls import CacheOutcomes, Calls, CallsClient, PoolCache
from kiteway.envoy.xds.common import grpc_cluster_name
from kiteway.metrics.cache import cache_text
from kiteway.metrics.controlplane import ControlPlaneMetrics, Now
from kiteway.metrics.probes import Probes
from kiteway.metrics.server import application
from kiteway.model import LoadBalancer, PoolKey
from kiteway.report.caches import CacheReport
from kiteway.status.caches import cache_report, wanted_caches
from kiteway.translate.shared.limits import NamespaceLimits
from tests.support.manifests import Manifest, milvus_policy
from tests.unit.test_translate_policy import BASE, Rounds

POOL = "default/milvus/19530"
CLUSTER = grpc_cluster_name(PoolKey("default", "milvus", 19530))
ON: Manifest = milvus_policy("milvus", cache={"enabled": True})


def cache(hit: int = 0, joined: int = 0, miss: int = 0, bypass: int = 0, **more: object) -> PoolCache:
    """Return the counts of a cache with one collection."""
    values = {
        "bytes": 2048,
        "entries": 3,
        "generation": 4,
        "closed": False,
        "sample_age_ms": 250,
        "outcomes": CacheOutcomes(hit=hit, joined=joined, miss=miss, bypass={"no-sample": bypass} if bypass else {}),
        "headers": [],
        **more,
    }
    return msgspec.convert({name: msgspec.to_builtins(value) for name, value in values.items()}, PoolCache)


def report(
    *manifests: Manifest,
    counts: PoolCache | None = None,
    with_filter: bool = True,
    memory: int = 1 << 30,
    by_default: bool = False,
) -> CacheReport:
    """Return what status says of the pool of the guide's Service."""
    options = {"namespace_limits": NamespaceLimits(cache=memory), "cache_by_default": by_default}
    model = Rounds(**options)(*BASE, *manifests).model
    (pool,) = model.pools
    return cache_report(pool, wanted_caches(model).get(pool.key), counts, with_filter=with_filter)


def test_the_filters_report_is_read_with_and_without_caches() -> None:
    """An older filter says nothing of caches."""
    text = b"""{"bounds": [1], "pools": [], "cache": {"default/milvus/19530": {"bytes": 1, "entries": 2, "generation": 3,
      "closed": true, "sample_age_ms": null, "outcomes": {"hit": 4, "joined": 5, "miss": 6, "bypass": {"strong": 7}},
      "headers": ["x-tenant"]}}}"""
    found = msgspec.json.decode(text, type=Calls).cache[POOL]

    assert (found.closed, found.sample_age_ms, found.outcomes.bypass) == (True, None, {"strong": 7})
    assert msgspec.json.decode(b'{"bounds": [1], "pools": []}', type=Calls).cache == {}


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (report(), []),
        (report(milvus_policy("milvus", cache={"enabled": False})), []),
        (report(ON), ["cache on"]),
        (report(by_default=True), ["cache on"]),
        (
            report(ON, counts=cache(hit=6, joined=2, miss=1, bypass=1, headers=["x-tenant"])),
            [
                (
                    "cache on: answers 80 % of 10 reads (6 hits, 2 joined, which are not among the calls above); "
                    "3 answers, 2048 of 67108864 bytes"
                ),
                "  not answered from it: no-sample 1",
                "  headers that keep answers apart: x-tenant",
            ],
        ),
        (
            report(ON, counts=cache(closed=True)),
            ["cache on: no read yet; 3 answers, 2048 of 67108864 bytes, closed for a moment"],
        ),
        (
            report(ON, with_filter=False),
            ["cache off although default/policy turns it on: Envoy runs without Kiteway's filter"],
        ),
        (
            report(ON, memory=1),
            [
                "cache off although default/policy turns it on: the caches of its namespace have no memory left",
            ],
        ),
    ],
    ids=["none", "switched off", "Envoy does not answer", "--cache", "counted", "closed", "no filter", "no memory"],
)
def test_status_says_whether_a_cache_is_on_and_what_it_does(found: CacheReport, lines: list[str]) -> None:
    """A cache that no policy turns on takes no line; one that is off against a policy says why."""
    assert list(cache_lines(found)) == lines
    assert found.on is (bool(lines) and lines[0].startswith("cache on"))
    assert bool(found.why) is not found.on


def test_the_reasons_of_bypass_are_sorted_by_their_number() -> None:
    """The most frequent one is what to look at first."""
    outcomes = CacheOutcomes(hit=0, joined=0, miss=0, bypass={"a": 1, "strong": 30, "no-sample": 30})
    found = report(ON, counts=cache(outcomes=outcomes))

    assert found.counts is not None
    assert list(found.counts.bypass) == ["no-sample", "strong", "a"]


def test_the_page_of_metrics_has_the_outcomes() -> None:
    """The pool has the label that it has in all other metrics."""
    page = cache_text({POOL: cache(hit=6, joined=2, miss=1, bypass=3)}).decode().splitlines()
    pool = f'pool="{CLUSTER}"'

    for line in (
        f'kiteway_cache_reads_total{{outcome="hit",{pool}}} 6.0',
        f'kiteway_cache_reads_total{{outcome="bypass",{pool}}} 3.0',
        f'kiteway_cache_bypasses_total{{{pool},reason="no-sample"}} 3.0',
        f"kiteway_cache_generations_total{{{pool}}} 4.0",
        f"kiteway_cache_bytes{{{pool}}} 2048.0",
        f"kiteway_cache_entries{{{pool}}} 3.0",
        f"kiteway_cache_sample_age_seconds{{{pool}}} 0.25",
    ):
        assert _sorted(line) in map(_sorted, page), line
    without = cache_text({POOL: cache(sample_age_ms=None)}).decode()
    assert "kiteway_cache_sample_age_seconds{" not in without
    assert cache_text({}) == b""


def test_the_page_of_metrics_is_built_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The series of many caches take seconds, in which probes must be answered."""
    built_in: list[threading.Thread] = []

    def slow(caches: Mapping[str, PoolCache]) -> bytes:
        assert list(caches) == [POOL]
        built_in.append(threading.current_thread())
        return b"the caches\n"

    async def scrape() -> str:
        async with AdminClient(tmp_path / "none") as admin, CallsClient(tmp_path / "none") as calls:
            app = application(metrics, admin, calls, Probes(_ready))
            async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://metrics") as client:
                return (await client.get("/metrics")).text

    async def read(_: CallsClient) -> Calls:
        return Calls(bounds=[1], pools=[], cache={POOL: cache()})

    metrics = ControlPlaneMetrics(lambda: Now(AdsState("", (), (), active=False), LoadBalancer(), ()))
    monkeypatch.setattr(CallsClient, "read", read)
    monkeypatch.setattr("kiteway.metrics.server.cache_text", slow)

    assert asyncio.run(scrape()).endswith("the caches\n")
    assert built_in
    assert threading.main_thread() not in built_in


async def _ready() -> str:
    return ""


def _sorted(line: str) -> str:
    """Return a line of metrics with its labels in a fixed order."""
    name, brace, rest = line.partition("{")
    labels, end, value = rest.partition("}")
    return name + brace + ",".join(sorted(labels.split(","))) + end + value
