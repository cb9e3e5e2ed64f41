"""A MilvusPolicy in front of a real Milvus with authorization: PyMilvus and REST over their limits, and beside them."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx2
import pytest
from pymilvus import DataType, MilvusClient, MilvusException

from kiteway.filter import filter_path, missing_reason
from kiteway.milvus.embedded import StandaloneMilvus
from tests.e2e.authorized import ALICE, ROOT, kiteway_before, milvus_with_authorization
from tests.e2e.test_traffic_metrics import MANIFESTS
from tests.support.kiteway import KITEWAY, Running, wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.milvus,
    pytest.mark.timeout(300),
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]

BOB = ("bob", "bobs-P4ssword")
RATE_LIMIT = 8
POLICY = """
---
apiVersion: kiteway.io/v1alpha1
kind: MilvusPolicy
metadata:
  name: tenants
spec:
  targetRefs:
    - kind: Service
      name: my-release-milvus
  limits:
    - by: [user]
      names: [alice]
      requestsPerSecond: 5
  admission:
    maxConcurrentReads: 1
    maxWait: 20s
"""


class Served(NamedTuple):
    """Kiteway in front of Milvus."""

    running: Running
    uri: str
    metrics: str

    def client(self, who: tuple[str, str]) -> MilvusClient:
        """Return a client on its own connection."""
        return MilvusClient(uri=self.uri, user=who[0], password=who[1])

    def counted(self, name: str) -> float:
        """Return the value of a metric."""
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def refused_by_user(self) -> dict[str, int]:
        """Return what `kiteway top` says of refused calls."""
        command = [str(KITEWAY), "top", "--once", "--by", "user", "--output", "json"]
        command += ["--data-dir", str(self.running.instance.data_dir)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        rows = json.loads(done.stdout)["rows"]
        refused: Counter[str] = Counter()
        for row in rows:
            refused[row["user"]] += row["refused"]
        return {user: count for user, count in refused.items() if count}


@pytest.fixture(scope="module")
def milvus() -> Iterator[StandaloneMilvus]:
    """Run Milvus with the users and a collection."""
    with milvus_with_authorization() as found:
        _prepare(f"http://127.0.0.1:{found.endpoint.port}")
        yield found


@pytest.fixture
def served(milvus: StandaloneMilvus, free_port: Callable[[], int]) -> Iterator[Served]:
    """Run Kiteway with the policy before Milvus."""
    with kiteway_before(milvus, free_port, manifests=MANIFESTS + POLICY) as front:
        yield Served(front.running, front.uri, front.metrics)


def _prepare(uri: str) -> None:
    root = MilvusClient(uri=uri, token=":".join(ROOT))
    for user, password in (ALICE, BOB):
        root.create_user(user, password)
        root.grant_role(user_name=user, role_name="admin")
    schema = root.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=8)
    index = root.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2")
    root.create_collection("books", schema=schema, index_params=index)
    root.insert("books", [{"id": number, "vector": [number / 7] * 8} for number in range(1000)])
    root.close()


def _refused(client: MilvusClient) -> str | None:
    """Ask once, without repeating what is refused; the refusal, if it is one."""
    try:
        client.has_collection("books", retry_on_rate_limit=False)
    except MilvusException as error:
        return f"{error.code}: {error.message}"
    return None


def test_a_user_over_its_limit_is_refused_and_pymilvus_backs_off(served: Served) -> None:
    """Only the user over its limit gets code 8; PyMilvus comes through by waiting; REST gets 429; the log says why."""
    alice, bob = served.client(ALICE), served.client(BOB)
    # At once, so that they outpace the limit on a slow machine too.
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(_refused, [alice] * 30))
    sentence = "kiteway: rate limit exceeded: requests per second of this user. Try again later."
    assert set(answers) == {None, f"{RATE_LIMIT}: {sentence}"}
    assert {_refused(bob) for _ in range(30)} == {None}

    began, passed = time.monotonic(), 20
    for _ in range(passed):
        assert alice.has_collection("books")
    # The bucket was empty and fills by 5 a second.
    assert passed / (time.monotonic() - began) == pytest.approx(5, rel=0.3)

    address = f"{served.uri}/v1/vector/collections"
    headers = {"authorization": f"Bearer {':'.join(ALICE)}"}
    # One client: each `httpx2.get` reads all CA certificates, and on a busy machine 30 of them do not outpace the limit.
    with httpx2.Client(headers=headers) as client, ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda _: client.get(address), range(30)))
    refused = next(response for response in found if response.status_code != 200)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.json() == {"code": 1807, "message": sentence}
    passes = httpx2.get(address, headers={"authorization": f"Bearer {':'.join(BOB)}"})
    assert (passes.status_code, passes.json()["code"]) == (200, 200)
    refusals_of_all = served.counted('envoy_kiteway_refused_total{reason="requests"}')
    assert refusals_of_all > 2
    assert served.counted("kiteway_call_refusals_total{") == refusals_of_all
    by_user = served.refused_by_user()
    # Before Milvus's first answer to alice by REST, she is one of the others there.
    assert by_user.keys() <= {"alice", "(other)"}
    assert by_user["alice"] > 2
    assert sum(by_user.values()) == refusals_of_all

    log = served.running.instance.data_dir / "logs" / "access.log"

    def refusals() -> list[Mapping[str, Any]]:
        return [line for line in map(json.loads, log.read_text().splitlines()) if line["refused"] == "requests"]

    # The log is written with a delay.
    wait_until(lambda: {line["status"] for line in refusals()} == {200, 429}, "the log says why")
    assert {line["endpoint"] for line in refusals()} == {None}


def test_reads_over_the_pools_limit_wait_and_all_are_answered(served: Served) -> None:
    """With one read at a time, searches of many threads wait, and every one has the right answer."""
    clients = [served.client(who) for who in (ROOT, BOB) for _ in range(4)]
    found: list[int] = []

    def search(client: MilvusClient, number: int) -> None:
        for _ in range(20):
            [hits] = client.search("books", [[number / 7] * 8], limit=3)
            found.append(hits[0]["id"] - number)

    threads = [threading.Thread(target=search, args=(client, number)) for number, client in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [0] * 160
    assert served.counted("envoy_kiteway_queued{") == 0
    wait_until(lambda: served.counted("envoy_kiteway_queue_time_count{") > 20, "calls have waited")
    of_books = 'kiteway_call_queue_seconds_count{collection="books"'
    assert served.counted(of_books) == served.counted("kiteway_call_queue_seconds_count{") > 20
    assert served.counted("envoy_kiteway_refused_total{") == 0
