"""A session of PyMilvus before a cache: each read is one call of its client, whatever the cache did with it."""

from __future__ import annotations

import base64
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from pymilvus import DataType, MilvusClient, MilvusException

from kiteway.filter import filter_path, missing_reason
from tests.e2e.authorized import ALICE, ROOT, kiteway_before, milvus_with_authorization
from tests.e2e.test_calls import POOL, Counted
from tests.e2e.test_calls_session import Made, Recorder, logged, recording
from tests.e2e.traffic import Backend
from tests.support.leaks import places_with_secrets

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.milvus,
    pytest.mark.timeout(300),
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]

DIMENSION = 8
READS = {"Search", "Query"}
LEVELS = ("strong", "session", "bounded", "eventually", "customized")


class Read(NamedTuple):
    """A read as its client made it, and what the client was told."""

    rpc: str
    user: str
    database: str
    collection: str
    nq: int
    limit: int
    level: str
    guarantee: str
    rows: int
    code: int
    cache: str


class Reads(Recorder):
    """Notes every call, and more of reads."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[Read] = []

    def note(self, details: Any, request: Any, answered: Any) -> Made:
        """Note a call that has been answered."""
        made = super().note(details, request, answered)
        if made.rpc in READS:
            self.reads.append(_read(made, request, answered))
        return made

    def outcomes(self) -> Counter[str]:
        """Return how many reads had each outcome."""
        return Counter(read.cache for read in self.reads)


def _read(made: Made, request: Any, answered: Any) -> Read:
    result = answered.result()
    parameters = request.search_params if made.rpc == "Search" else request.query_params
    limit = {pair.key: pair.value for pair in parameters}
    rows = sum(result.results.topks) if made.rpc == "Search" else _length(result)
    told = dict(answered.initial_metadata()).get("kiteway-cache", "")
    return Read(
        rpc=made.rpc,
        user=made.user,
        database=made.database,
        collection=made.collection,
        nq=request.nq if made.rpc == "Search" else 0,
        limit=int(limit.get("topk", limit.get("limit", 0))),
        level="default" if request.use_default_consistency else LEVELS[request.consistency_level],
        guarantee=str(request.guarantee_timestamp) if request.guarantee_timestamp > 2 else "",
        rows=rows if made.code == "0" else 0,
        code=int(made.code),
        cache=told.partition(";")[0],
    )


def _length(result: Any) -> int:
    return max((len(column.scalars.long_data.data) for column in result.fields_data), default=0)


def _logged(line: dict[str, Any]) -> Read:
    said = line["call"] or {}
    return Read(
        rpc=line["path"].rpartition("/")[2],
        user=said.get("user", ""),
        database=said.get("database", ""),
        collection=said.get("collection", ""),
        nq=said.get("nq", 0),
        limit=said.get("limit", 0),
        level=said.get("level", ""),
        guarantee=said.get("guarantee", ""),
        rows=said.get("rows", 0),
        code=said.get("code", -1),
        cache=line["cache"] or "",
    )


@pytest.fixture(scope="module")
def served(free_port: Callable[[], int]) -> Iterator[Counted]:
    """Kiteway with a cache in front of a Milvus that wants credentials; the log has what calls say."""
    with (
        milvus_with_authorization() as milvus,
        kiteway_before(milvus, free_port, "--cache", "--log-calls") as front,
    ):
        yield Counted(front.running, front.metrics, front.port, Backend())


def create(client: MilvusClient) -> None:
    """Create a collection with 40 rows."""
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection("books", schema=schema, index_params=index, consistency_level="Bounded")
    client.insert("books", [{"id": number, "vector": [number / 7] * DIMENSION} for number in range(40)])


def read_often(client: MilvusClient, recorder: Reads) -> None:
    """Ask the same questions until they have been answered from the cache."""
    one, two = [0.5] * DIMENSION, [1.5] * DIMENSION
    questions: list[Callable[[], object]] = [
        lambda: client.search("books", [one], limit=5, consistency_level="Bounded"),
        lambda: client.search("books", [one, two], limit=3, consistency_level="Eventually"),
        lambda: client.search("books", [two], limit=4),
        lambda: client.query("books", "id < 7", output_fields=["id"], consistency_level="Bounded"),
        lambda: client.query("books", "id >= 0", output_fields=["id"], limit=11, consistency_level="Bounded"),
    ]
    for question in questions:
        begun = len(recorder.reads)
        for _ in range(400):
            question()
            if sum(read.cache == "hit" for read in recorder.reads[begun:]) >= 3:
                break
    joined = recorder.outcomes()["joined"]
    for number in range(50):
        share(client, [float(number)] * DIMENSION, asked=number % 2)
        if recorder.outcomes()["joined"] > joined:
            break
    for _ in range(3):
        client.search("books", [one], limit=5, consistency_level="Strong")
        client.search("books", [one], limit=5, consistency_level="Customized", guarantee_timestamp=1 << 40)
        with contextlib.suppress(MilvusException):
            client.search("no_such_collection", [one], limit=5)


def share(client: MilvusClient, vector: list[float], asked: int) -> None:
    """Ask a question that was `asked` so often before from eight threads at once."""

    def ask() -> None:
        client.search("books", [vector], limit=6, consistency_level="Bounded")

    for _ in range(asked):
        ask()
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_each_read_is_one_call_of_its_client(served: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Log, metrics and `kiteway top` have each read as the client asked, and none of Kiteway's own calls."""
    uri = f"http://127.0.0.1:{served.port}"
    recorder = Reads()
    with recording(monkeypatch, recorder):
        root = MilvusClient(uri=uri, token=":".join(ROOT))
        root.create_database("zoo")
        root.create_user(*ALICE)
        root.grant_role(user_name=ALICE[0], role_name="admin")
        alice = MilvusClient(uri=uri, user=ALICE[0], password=ALICE[1], db_name="zoo")
        for client in (root, alice):
            create(client)
            read_often(client, recorder)
    made, reads = recorder.made, recorder.reads
    assert set(recorder.outcomes()) == {"hit", "joined", "miss", "bypass"}

    lines = [line for line in logged(served, len(made)) if line["path"].rpartition("/")[2] in READS]
    assert Counter(map(_logged, lines)) == Counter(reads)

    for rpc, calls in Counter(call.rpc for call in made).items():
        assert served.value("kiteway_calls_total", rpc=rpc) == calls, rpc
    for rpc in {"AllocTimestamp"} - {call.rpc for call in made}:
        assert served.value("kiteway_calls_total", rpc=rpc) == 0

    asked = Counter((read.database, read.collection, read.rpc) for read in reads if read.code == 0)
    cached = Counter((read.database, read.collection, read.rpc, read.cache) for read in reads if read.code == 0)
    for (database, collection, rpc), calls in asked.items():
        labels = {"pool": POOL, "database": database, "collection": collection, "rpc": rpc}
        assert served.value("kiteway_calls_total", **labels) == calls
        assert served.value("kiteway_call_duration_seconds_count", **labels) == calls
        rows = sum(read.rows for read in reads if (read.database, read.rpc) == (database, rpc))
        assert served.value("kiteway_call_rows_total", **labels) == rows
    for (database, collection, rpc, outcome), calls in cached.items():
        labels = {"pool": POOL, "database": database, "collection": collection, "rpc": rpc, "outcome": outcome}
        assert served.value("kiteway_cache_collection_reads_total", **labels) == calls

    rows_by_user = {row["user"]: row for row in served.top("--by", "user")}
    for user in ("root", "alice"):
        row = rows_by_user[user]
        assert row["calls"] == sum(call.user == user for call in made)
        assert row["cache"] == {
            outcome: sum((read.user, read.cache) == (user, outcome) for read in reads)
            for outcome in ("hit", "joined", "miss", "bypass")
        }
    assert set(rows_by_user) <= {"root", "alice", "(other)", "(none)"}

    secrets = [":".join(ROOT), ALICE[1], base64.b64encode(":".join(ROOT).encode()).decode()]
    assert places_with_secrets(served.running, served.metrics, secrets) == []
