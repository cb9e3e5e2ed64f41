"""A MilvusPolicy with a cache beside the other manifests: what the clients of a real Milvus and its operator see."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from kiteway.filter import filter_path, missing_reason
from kiteway.milvus.embedded import StandaloneMilvus
from tests.e2e.test_traffic_metrics import MANIFESTS, ROOT, names
from tests.support.kiteway import KITEWAY, Running, up, wait_until
from tests.support.manifests import milvus_policy
from tests.support.reads import channel, fill_plaintext, search_request, service

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.milvus,
    pytest.mark.timeout(300),
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]

SERVICE = "my-release-milvus"
COLLECTION = "books"
HEADER = "kiteway-cache"


@dataclass
class Site:
    """Kiteway in front of a Milvus with a collection."""

    running: Running
    stub: Any
    manifests: Path
    metrics: int

    def set_cache(self, **cache: Any) -> None:
        """Write a policy with this cache for the Service; without one, remove the policy."""
        file = self.manifests / "policy.yaml"
        if cache:
            file.write_text(yaml.safe_dump(dict(milvus_policy(SERVICE, cache=cache))))
        else:
            file.unlink(missing_ok=True)

    def search(self, number: int) -> str:
        """Search for one of the vectors; return the header of the answer, empty without one."""
        answer, call = self.stub.Search.with_call(search_request(COLLECTION, number), timeout=20)
        assert answer.status.code == 0, answer.status.reason
        return str(dict(call.initial_metadata()).get(HEADER, ""))

    def pool(self) -> dict[str, Any]:
        """Return what status says of the pool's cache."""
        pools: list[dict[str, Any]] = []

        def there() -> bool:
            pools[:] = self.running.report()["pools"]
            return bool(pools)

        # A control plane that was restarted answers before it has read the manifests.
        wait_until(there, "status has the pool")
        found: dict[str, Any] = pools[0]["cache"]
        return found

    def page(self) -> str:
        """Return the page of metrics."""
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics, timeout=20)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def ask(self, *command: str) -> str:
        """Return what a command of Kiteway prints about this instance."""
        folder = str(self.running.instance.data_dir)
        done = subprocess.run(
            [KITEWAY, *command, "--data-dir", folder], capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout


@pytest.fixture(scope="module")
def site(free_port: Callable[[], int]) -> Iterator[Site]:
    """Start both."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    manifests = folder / "manifests"
    manifests.mkdir()
    (manifests / "all.yaml").write_text(MANIFESTS)
    port, metrics = free_port(), free_port()
    milvus = StandaloneMilvus(folder / "milvus")
    loop = asyncio.Runner()
    loop.run(milvus.start())
    try:
        at = milvus.endpoint
        arguments = ["-f", str(manifests), "--endpoint", f"{SERVICE}=127.0.0.1:{at.port},health={at.health_port}"]
        arguments += ["--http-port", str(port), "--https-port", str(free_port()), "--drain", "1"]
        arguments += ["--metrics-bind", f"127.0.0.1:{metrics}"]
        with up(arguments, folder / "data") as running:
            running.wait_healthy(1)
            fill_plaintext(port, COLLECTION)
            with channel(f"127.0.0.1:{port}", None, None) as connection:
                yield Site(running, service(connection), manifests, metrics)
    finally:
        loop.run(milvus.stop())
        loop.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _no_policy_left(site: Site) -> Iterator[None]:
    yield
    site.set_cache()
    wait_until(lambda: not site.search(0), "Envoy has no cache any more")


def test_a_policy_turns_the_cache_on_and_its_operator_sees_what_it_does(site: Site) -> None:
    """The header, status, top, metrics and the access log say the same of one hit."""
    assert site.search(1) == ""
    assert site.pool() == {"on": False, "why": "no MilvusPolicy of the Service turns it on"} | dict.fromkeys(
        ("policy", "memory", "counts")
    )

    site.set_cache(enabled=True, memory="8Mi")
    wait_until(lambda: site.search(1).startswith("hit; age="), "the cache answers")

    found = site.pool()
    assert (found["on"], found["policy"], found["memory"]) == (True, "default/policy", 8 << 20)
    counts = found["counts"]
    assert counts["hit"] >= 1
    assert counts["miss"] >= 1
    assert 0 < counts["share"] < 1
    assert 0 < counts["bytes"] <= 8 << 20
    assert counts["sampleAge"] is not None
    text = site.ask("status")
    assert "cache on: answers " in text
    row = json.loads(site.ask("top", "--once", "--output", "json"))["rows"][0]
    assert (row["database"], row["collection"]) == ("default", COLLECTION)
    assert row["cache"]["hit"] > 0
    assert row["cache"]["miss"] > 0
    page = site.page()
    documented = re.findall(
        r"^\| `(kiteway_cache_\w+)` \|", (ROOT / "docs/reference/metrics.md").read_text(), re.MULTILINE
    )
    assert {name for name in names(page) if name.startswith("kiteway_cache_")} == set(documented)
    hits = re.search(r'^kiteway_cache_reads_total\{outcome="hit",pool="[^"]+"\} (\S+)$', page, re.MULTILINE)
    assert hits is not None
    assert float(hits[1]) >= counts["hit"]
    log = site.running.instance.log_dir / "access.log"
    wait_until(
        lambda: {"hit", "miss", "bypass"} <= {json.loads(line)["cache"] for line in log.read_text().splitlines()},
        "the access log has the outcomes",
        limit=30,
    )


def test_a_policy_turns_it_off_and_nothing_that_was_kept_is_used_again(site: Site) -> None:
    """For one collection, or as a whole. When it is on again, the first answer is Milvus's."""
    site.set_cache(enabled=True, eventualBound="1h")
    wait_until(lambda: site.search(2).startswith("hit"), "the cache answers")

    site.set_cache(enabled=True, collections=[{"collection": COLLECTION, "enabled": False}])
    wait_until(lambda: site.search(2) == "bypass; reason=disabled", "the collection is excluded")
    site.set_cache(enabled=True)
    wait_until(lambda: site.search(2).startswith("hit"), "the collection is not excluded any more")

    site.set_cache(enabled=False)
    wait_until(lambda: not site.search(2), "it is off")
    site.set_cache(enabled=True)
    seen: list[str] = []

    def again() -> bool:
        seen.append(site.search(2))
        return bool(seen[-1])

    wait_until(again, "it is on again")
    assert not seen[-1].startswith("hit")


def test_a_restarted_control_plane_drops_what_is_kept(site: Site) -> None:
    """It does not know which endpoints Envoy had meanwhile, so the epoch is another one."""
    site.set_cache(enabled=True)
    wait_until(lambda: site.search(3).startswith("hit"), "the cache answers")
    before = site.pool()["counts"]["generation"]
    site.running.kill("controlplane")

    def dropped() -> bool:
        counts = site.pool()["counts"]
        return counts is not None and counts["generation"] > before

    wait_until(dropped, "the epoch is another one")
    wait_until(lambda: site.search(3).startswith("hit"), "the cache answers again")


def test_reads_go_on_while_the_cache_is_turned_on_and_off(site: Site) -> None:
    """No read fails, whatever the policy says at the moment."""
    end = time.monotonic() + 6
    number = 0
    while time.monotonic() < end:
        if number % 40 == 0:
            site.set_cache(enabled=number % 80 == 0)
        try:
            site.search(number % 5)
        except grpc.RpcError as error:
            pytest.fail(str(error))
        number += 1
