"""The cache in front of a real Milvus with authorization, as PyMilvus sees it."""

from __future__ import annotations

import itertools
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any, NamedTuple

import grpc
import pytest
from pymilvus import DataType, MilvusClient, MilvusException
from pymilvus.grpc_gen import milvus_pb2

from kiteway.filter import filter_path, missing_reason
from tests.consistency.requests import credentials
from tests.e2e.authorized import ALICE, ROOT, kiteway_before, milvus_with_authorization
from tests.support.kiteway import wait_until
from tests.support.load import query_request
from tests.support.reads import BOUNDED, channel, service

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.milvus,
    pytest.mark.timeout(300),
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]

DIMENSION = 8
METRIC = 'kiteway_cache_reads_total{outcome="'


class Served(NamedTuple):
    """Kiteway in front of Milvus."""

    uri: str
    metrics: str

    def client(self, who: tuple[str, str] = ROOT) -> MilvusClient:
        """Return a client on its own connection."""
        return MilvusClient(uri=self.uri, user=who[0], password=who[1])

    def outcomes(self) -> Counter[str]:
        """Return how many reads had each outcome."""
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
        found: Counter[str] = Counter()
        for line in lines:
            if line.startswith(METRIC):
                found[line.removeprefix(METRIC).partition('"')[0]] += int(float(line.rpartition(" ")[2]))
        return found

    def hits(self, read: Callable[[], object]) -> int:
        """Return how many of the reads that `read` makes were hits."""
        before = self.outcomes()["hit"]
        read()
        return self.outcomes()["hit"] - before


@pytest.fixture(scope="module")
def served(free_port: Callable[[], int]) -> Iterator[Served]:
    """Run Milvus, and Kiteway with a cache before it."""
    with milvus_with_authorization() as milvus, kiteway_before(milvus, free_port, "--cache") as front:
        yield Served(front.uri, front.metrics)


def create(client: MilvusClient, name: str, first: int = 0, level: str = "Bounded") -> None:
    """Create a collection with 100 rows, whose ids begin with `first`."""
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection(name, schema=schema, index_params=index, consistency_level=level)
    client.insert(name, [row(first + number) for number in range(100)])


def row(number: int) -> dict[str, Any]:
    """Return a row."""
    return {"id": number, "vector": [number / 7] * DIMENSION}


def search(client: MilvusClient, name: str, **options: Any) -> list[int]:
    """Return the ids of the nearest rows."""
    return [hit["id"] for hit in client.search(name, [[1.0] * DIMENSION], limit=5, **options)[0]]


def until_hit(served: Served, read: Callable[[], object]) -> None:
    """Read until the answer comes from the cache."""
    wait_until(lambda: served.hits(read) > 0, "a read is answered from the cache")


def test_the_same_search_and_query_are_hits(served: Served) -> None:
    """PyMilvus gets the same rows from the cache as from Milvus, for a search and a query; Strong never hits."""
    client = served.client()
    create(client, "books")
    wait_until(lambda: len(search(client, "books")) == 5, "the rows are there")
    expected = search(client, "books", consistency_level="Strong")
    for read in (
        lambda: search(client, "books"),
        lambda: search(client, "books", consistency_level="Eventually"),
        lambda: [each["id"] for each in client.query("books", f"id in {expected}")],
    ):
        until_hit(served, read)
        for _ in range(10):
            assert sorted(read()) == sorted(expected)
    assert served.hits(lambda: [search(client, "books", consistency_level="Strong") for _ in range(10)]) == 0


def test_a_client_reads_its_own_writes_at_the_level_session(served: Served) -> None:
    """Another client keeps the same question hot meanwhile."""
    writer, reader = served.client(), served.client()
    create(writer, "session", level="Session")
    question = "id >= 0"

    def count(client: MilvusClient, **options: Any) -> int:
        return len(client.query("session", question, output_fields=["id"], **options))

    wait_until(lambda: count(reader) == 100, "the rows are there")
    over = threading.Event()

    def keep_hot() -> None:
        while not over.is_set():
            count(reader, consistency_level="Eventually")
            count(reader, consistency_level="Bounded")

    thread = threading.Thread(target=keep_hot)
    thread.start()
    try:
        until_hit(served, lambda: count(reader, consistency_level="Bounded"))
        for number in range(20):
            writer.insert("session", [row(1000 + number)])
            assert count(writer) == 101 + number
            assert count(writer, consistency_level="Strong") == 101 + number
    finally:
        over.set()
        thread.join()


def test_a_bounded_read_has_every_write_that_is_older_than_5_s(served: Served) -> None:
    """For 15 s no client gets an answer that misses a write acknowledged 5 s before, and most reads are hits."""
    writer, reader = served.client(), served.client()
    create(writer, "bounded")
    acknowledged: list[tuple[float, int]] = []
    numbers = itertools.count(1000)
    end = time.monotonic() + 15

    def write() -> None:
        while time.monotonic() < end:
            number = next(numbers)
            writer.insert("bounded", [row(number)])
            acknowledged.append((time.monotonic(), number))
            time.sleep(0.2)

    thread = threading.Thread(target=write)
    thread.start()
    before, reads = served.outcomes(), 0
    while time.monotonic() < end:
        began = time.monotonic()
        # At the default level PyMilvus would ask for the last write of its process, which is the writer's too.
        rows = reader.query("bounded", "id >= 1000", output_fields=["id"], consistency_level="Bounded")
        found = {each["id"] for each in rows}
        assert not {number for when, number in list(acknowledged) if when < began - 5} - found
        reads += 1
        time.sleep(0.01)
    thread.join()
    assert served.outcomes()["hit"] - before["hit"] > reads / 2


def test_nothing_is_read_of_a_collection_that_was_dropped_or_that_an_alias_left(served: Served) -> None:
    """A new collection of the same name, and another one behind an alias, answer at once."""
    client = served.client()
    create(client, "old", first=0)
    wait_until(lambda: len(search(client, "old")) == 5, "the rows are there")
    create(client, "new", first=1000)
    wait_until(lambda: len(search(client, "new")) == 5, "the rows are there")
    client.create_alias("old", "alias")
    for target, first in (("new", 1000), ("old", 0), ("new", 1000)):
        until_hit(served, lambda: search(client, "alias"))
        client.alter_alias(target, "alias")
        for _ in range(20):
            assert set(search(client, "alias", consistency_level="Eventually")) & set(range(first, first + 100))
    until_hit(served, lambda: search(client, "old"))
    client.drop_collection("old")
    with pytest.raises(MilvusException, match="not found"):
        search(client, "old")
    create(client, "old", first=5000)
    for _ in range(50):
        assert all(number >= 5000 for number in search(client, "old"))


def test_rights_hold_at_once(served: Served) -> None:
    """A user without the privilege gets no answer that another user's read has stored, nor after it is revoked."""
    root = served.client()
    create(root, "secret")
    wait_until(lambda: len(search(root, "secret")) == 5, "the rows are there")
    root.create_user(*ALICE)
    root.create_role("readers")
    root.grant_role(ALICE[0], "readers")
    # Without it nothing is learned of the collection, and nothing is kept for the user.
    root.grant_privilege("readers", "Global", "DescribeCollection", "*")
    alice = served.client(ALICE)

    def may_search() -> bool:
        try:
            return len(search(alice, "secret")) == 5
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.PERMISSION_DENIED:
                raise
            return False

    until_hit(served, lambda: search(root, "secret"))
    for _ in range(3):
        assert not may_search()
        root.grant_privilege("readers", "Collection", "Search", "secret")
        wait_until(may_search, "the user may search")
        until_hit(served, may_search)
        root.revoke_privilege("readers", "Collection", "Search", "secret")


class Timed(NamedTuple):
    """What became of a call, and when it was sent and answered."""

    outcome: str
    sent: float
    done: float


def _hits(reads: Sequence[Timed], drops: Sequence[Timed] = ()) -> float:
    """Return the share of hits among the reads that were in progress during no drop."""
    apart = [one for one in reads if not any(drop.sent < one.done and one.sent < drop.done for drop in drops)]
    return sum(one.outcome == "hit" for one in apart) / len(apart)


class Asker(NamedTuple):
    """One user's calls for one collection."""

    stub: Any
    collection: str
    user: str
    password: str

    def ask(self) -> str:
        """Ask the one question, and return what the cache did; empty: the answer is an error."""
        request = query_request(self.collection, "id >= 0", BOUNDED)
        call = self.stub.Query.future(request, timeout=20, metadata=[credentials(self.user, self.password)])
        if call.exception() is not None:
            return ""
        return str(dict(call.initial_metadata())["kiteway-cache"]).partition(";")[0]

    def warm_up(self) -> None:
        """Ask until the answer comes from the cache."""
        wait_until(lambda: self.ask() == "hit", "a read is answered from the cache")

    def read(self, seconds: float) -> list[Timed]:
        """Ask for so long, at most 200 times a second."""
        reads, end = [], time.monotonic() + seconds
        while (sent := time.monotonic()) < end:
            reads.append(Timed(self.ask(), sent, time.monotonic()))
            time.sleep(0.005)
        return reads

    def drop_until(self, over: threading.Event) -> list[Timed]:
        """Try to drop the collection ten times a second; Milvus refuses each."""
        request, drops = milvus_pb2.DropCollectionRequest(collection_name=self.collection), []
        while not over.wait(0.1):
            sent = time.monotonic()
            call = self.stub.DropCollection.future(
                request, timeout=20, metadata=[credentials(self.user, self.password)]
            )
            assert call.exception().code() in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
            drops.append(Timed("", sent, time.monotonic()))
        return drops


@pytest.mark.parametrize("is_user", [False, True], ids=["wrong password", "without the privilege"])
def test_drops_that_milvus_refuses_cost_hits_nothing_but_their_own_duration(served: Served, *, is_user: bool) -> None:
    """
    Ten a second: those with a wrong password cost nothing.

    Those of a user whom Milvus knows close the cache until they are refused.
    """
    name, bob = f"kept_{is_user}", ("bob", "bobs-P4ssword")
    root = served.client()
    create(root, name)
    if is_user:
        root.create_user(*bob)
        root.create_role("askers")
        root.grant_role(bob[0], "askers")
        root.grant_privilege("askers", "Global", "DescribeCollection", "*")
        root.grant_privilege("askers", "Collection", "Query", name)
    with channel(served.uri.removeprefix("http://"), None, None) as connection:
        theirs = Asker(service(connection), name, *bob)
        asker = Asker(service(connection), name, *ROOT)
        # A good answer to a fill makes a user known.
        if is_user:
            theirs.warm_up()
        asker.warm_up()
        alone: list[Timed] = []
        beside: list[Timed] = []
        drops: list[Timed] = []
        # In turns, so that other work on the machine disturbs both.
        for _ in range(5):
            alone += asker.read(2)
            over = threading.Event()
            with futures.ThreadPoolExecutor(1) as pool:
                dropping = pool.submit(theirs.drop_until, over)
                beside += asker.read(2)
                over.set()
                drops += dropping.result()
    assert len(drops) > 40
    assert _hits(beside, drops if is_user else []) > 0.95 * _hits(alone), (_hits(alone), _hits(beside), len(drops))
