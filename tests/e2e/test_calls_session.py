"""A whole session of PyMilvus on a real Milvus with authorization: who asked what, compared with what the client did."""

from __future__ import annotations

import base64
import contextlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import grpc
import pytest
from pymilvus import DataType, MilvusClient, MilvusException

from kiteway.filter import filter_path, missing_reason
from tests.e2e.authorized import ALICE, ROOT, kiteway_before, milvus_with_authorization
from tests.e2e.test_calls import Counted
from tests.e2e.traffic import Backend, eventually
from tests.support.leaks import places_with_secrets

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.milvus,
    pytest.mark.timeout(300),
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]

TOKEN = "an-api-key-that-is-s3cret"
SECRETS = [":".join(ROOT), ALICE[1], TOKEN]
DIMENSION = 8


class Made(NamedTuple):
    """A call as the client made it: the rpc, who, the names of the request, and its code, or gRPC's status."""

    rpc: str
    user: str
    database: str
    collection: str
    code: str


class Recorder(grpc.UnaryUnaryClientInterceptor):
    """Notes every call next to the connection: after everything that PyMilvus adds."""

    def __init__(self) -> None:
        self.made: list[Made] = []

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        """Make the call and note it."""
        answered = continuation(details, request)
        self.note(details, request, answered)
        return answered

    def note(self, details: Any, request: Any, answered: Any) -> Made:
        """Note a call that has been answered."""
        metadata = dict(details.metadata or ())
        status = getattr(answered, "code", lambda: grpc.StatusCode.OK)()
        code = "0"
        if status is not grpc.StatusCode.OK:
            code = status.name
        else:
            result = answered.result()
            said = result if result.DESCRIPTOR.name == "Status" else getattr(result, "status", None)
            code = str(getattr(said, "code", 0) or (65535 if getattr(said, "error_code", 0) else 0))
        credentials = base64.b64decode(metadata.get("authorization", "")).decode()
        user, colon, _ = credentials.partition(":")
        database, collection = names(request, metadata.get("dbname", ""))
        rpc = details.method.rpartition("/")[2]
        made = Made(rpc, user if colon or not user else "key", database, collection, code)
        self.made.append(made)
        return made


def names(request: Any, header: str) -> tuple[str, str]:
    """Return what a request names, as Milvus's proxy resolves it; empty where its message has no such field."""
    fields = set(request.DESCRIPTOR.fields_by_name)
    collection = ""
    for field in ("collection_name", "collectionName", "oldName"):
        if field in fields:
            collection = getattr(request, field)
    for field in ("collection_names",):
        if field in fields and getattr(request, field):
            collection = getattr(request, field)[0]
    database = next((getattr(request, field) for field in ("db_name", "dbName") if field in fields), None)
    if database is None:
        return "", collection
    return database or header or "default", collection


@contextlib.contextmanager
def recording(monkeypatch: pytest.MonkeyPatch, recorder: Recorder) -> Iterator[None]:
    """Note in ``recorder`` all calls of PyMilvus clients that connect meanwhile."""
    plain = grpc.insecure_channel

    def channel(*given: Any, **options: Any) -> grpc.Channel:
        return grpc.intercept_channel(plain(*given, **options), recorder)

    with monkeypatch.context() as patch:
        patch.setattr(grpc, "insecure_channel", channel)
        yield


@pytest.fixture
def served(free_port: Callable[[], int]) -> Iterator[Counted]:
    """Kiteway in front of a Milvus that wants credentials; the log has what calls say."""
    with milvus_with_authorization() as milvus, kiteway_before(milvus, free_port, "--log-calls") as front:
        yield Counted(front.running, front.metrics, front.port, Backend())


def session(uri: str) -> None:
    """Do what a user does, good and bad."""
    root = MilvusClient(uri=uri, token=":".join(ROOT))
    root.create_user(*ALICE)
    root.create_role("reader")
    root.grant_role(user_name=ALICE[0], role_name="reader")
    root.create_database("zoo")
    for client in (root, MilvusClient(uri=uri, token=":".join(ROOT), db_name="zoo")):
        _collection(client)
    alice = MilvusClient(uri=uri, user=ALICE[0], password=ALICE[1])
    with contextlib.suppress(MilvusException, grpc.RpcError):  # not allowed
        alice.search("books", [[0.1] * DIMENSION], limit=3)
    alice.close()
    for wrong in ({"token": TOKEN}, {"user": "mallory", "password": "guess"}):
        with contextlib.suppress(MilvusException, grpc.RpcError):
            MilvusClient(uri=uri, **wrong, timeout=2)
    root.revoke_role(user_name=ALICE[0], role_name="reader")
    root.drop_role("reader")
    root.drop_user(ALICE[0])
    root.close()


def _collection(client: MilvusClient) -> None:
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection("drafts", schema=schema, index_params=index)
    client.rename_collection("drafts", "books")
    client.create_alias("books", "library")
    client.create_partition("books", "new")
    draw = random.Random(1)
    rows = [{"id": number, "vector": [draw.random() for _ in range(DIMENSION)]} for number in range(40)]
    client.insert("books", rows[:30])
    client.insert("books", rows[30:], partition_name="new")
    client.upsert("books", rows[:5])
    client.delete("books", ids=[1, 2])
    client.flush("books")
    client.load_collection("books")
    client.search("books", [rows[3]["vector"], rows[4]["vector"]], limit=5, consistency_level="Strong")
    client.search("library", [rows[3]["vector"]], limit=4)
    client.query("books", filter="id < 10", output_fields=["id"])
    pages = client.query_iterator("books", batch_size=10, limit=30, output_fields=["id"])
    while pages.next():
        pass
    pages.close()
    client.get_collection_stats("books")
    client.list_collections()
    client.list_indexes("books")
    client.has_collection("made_up_name")
    with contextlib.suppress(MilvusException, grpc.RpcError):
        client.search("no_such_collection", [rows[3]["vector"]], limit=5)
    client.drop_alias("library")
    client.release_collection("books")
    client.drop_partition("books", "new")


def logged(served: Counted, number: int) -> list[dict[str, Any]]:
    """Return the lines of the calls, once all are written."""
    log = served.running.instance.log_dir / "access.log"
    lines: list[dict[str, Any]] = []

    def written() -> bool:
        lines[:] = [json.loads(line) for line in log.read_text().splitlines()]
        return len(lines) >= number

    eventually(written, f"{number} lines of the log", 30)
    return lines


def test_every_call_of_a_session_is_named_as_the_client_made_it(
    served: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Log, metrics and `kiteway top` have each call with its user, database, collection and outcome, and no secret."""
    recorder = Recorder()
    with recording(monkeypatch, recorder):
        session(f"http://127.0.0.1:{served.port}")
    made = recorder.made
    assert len({call.rpc for call in made}) > 25
    assert {call.user for call in made} == {"root", "alice", "mallory", "key"}

    lines = logged(served, len(made))
    said = Counter(_line(line) for line in lines)
    assert said == Counter(made)

    calls = Counter((call.rpc) for call in made)
    assert {rpc: served.value("kiteway_calls_total", rpc=rpc) for rpc in calls} == calls
    by_collection = Counter(
        (call.rpc, call.database) for call in made if call.collection == "books" and call.rpc in {"Search", "Insert"}
    )
    for (rpc, database), count in by_collection.items():
        assert served.value("kiteway_calls_total", rpc=rpc, database=database, collection="books") == count
    errors = Counter(call.rpc for call in made if call.code != "0")
    assert {rpc: served.value("kiteway_call_errors_total", rpc=rpc) for rpc in errors} == errors
    page = served.page()
    assert "no_such_collection" not in page
    assert "made_up_name" not in page

    users = {row["user"]: row["calls"] for row in served.top("--by", "user")}
    refused = sum(call.user in {"mallory", "key"} for call in made)
    assert users["root"] == sum(call.user == "root" for call in made)
    assert users["(other)"] == refused
    rows = {(row["database"], row["collection"], row["rpc"]): row for row in served.top("--by", "rpc")}
    assert rows["default", "books", "Insert"]["rows"] == 40
    assert rows["zoo", "books", "Search"]["rows"] == 10
    assert rows["zoo", "library", "Search"]["rows"] == 4

    assert places_with_secrets(served.running, served.metrics, SECRETS) == []


def _line(line: dict[str, Any]) -> Made:
    said = line["call"] or {}
    user = said.get("user", "")
    code = str(said.get("code", 0)) if line["grpc_status"] == "OK" else line["grpc_status"]
    rpc = line["path"].rpartition("/")[2]
    key = "key" if user.startswith("key-") else user
    return Made(rpc, key, said.get("database", ""), said.get("collection", ""), code)
