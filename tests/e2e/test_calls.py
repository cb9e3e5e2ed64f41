"""What is counted of calls by collection, user and endpoint: on the page of metrics and in `kiteway top`."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

from kiteway.filter import filter_path, missing_reason
from tests.e2e.test_traffic_metrics import MANIFESTS
from tests.e2e.traffic import INSERT, SEARCH, SERVICE, Backend, call, eventually
from tests.support.kiteway import KITEWAY, Running, up

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(filter_path() is None, reason=missing_reason())]

POOL = "pool/default/my-release-milvus/19530/grpc"
FOUND: bytes = milvus_pb2.SearchResults(
    status=common_pb2.Status(), results=schema_pb2.SearchResultData(num_queries=1, top_k=7, topks=[7])
).SerializeToString()
MISSING: bytes = milvus_pb2.SearchResults(status=common_pb2.Status(error_code=4, code=100)).SerializeToString()
KNOWN = {"books", "birds"}
UNKNOWN = {"collection": "other", "rpc": "Search", "code": "100"}
"""The labels of the errors of searches in collections that do not exist."""


class Counted(NamedTuple):
    """A running instance, the addresses of its metrics and of its calls, and the backend."""

    running: Running
    metrics: str
    port: int
    backend: Backend

    def page(self) -> str:
        """Return the page of metrics."""
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=10) as response:
            text: str = response.read().decode()
        return text

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a metric with these labels."""
        wanted = [f'{label}="{text}"' for label, text in labels.items()]
        lines = [line for line in self.page().splitlines() if line.startswith(f"{name}{{")]
        found = [line for line in lines if all(part in line for part in wanted)]
        return sum(float(line.rpartition(" ")[2]) for line in found)

    def top(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the rows of `kiteway top --once`."""
        command = [str(KITEWAY), "top", "--once", "--output", "json", *arguments]
        command += ["--data-dir", str(self.running.instance.data_dir)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        rows: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
        return rows

    def call(self, path: str, request: Any, user: str = "root", **metadata: str) -> bytes:
        """Make a call with credentials."""
        credentials = base64.b64encode(f"{user}:Milvus-s3cret".encode()).decode()
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            headers = (("authorization", credentials), *metadata.items())
            return call(channel, path, request.SerializeToString(), metadata=headers)


def milvus(request: bytes, context: grpc.ServicerContext) -> bytes:
    """Know two collections and one user."""
    credentials = dict(context.invocation_metadata()).get("authorization", "")
    if base64.b64decode(str(credentials)).partition(b":")[0] not in {b"root", b"alice"}:
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "auth check failure")
    name = milvus_pb2.DropCollectionRequest.FromString(request).collection_name
    return FOUND if name in KNOWN or not name else MISSING


@pytest.fixture(scope="module")
def counted(free_port: Callable[[], int]) -> Iterator[Counted]:
    """Kiteway in front of one backend."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    (folder / "manifests").mkdir()
    (folder / "manifests" / "all.yaml").write_text(MANIFESTS)
    port, metrics = free_port(), f"127.0.0.1:{free_port()}"
    try:
        with Backend(milvus) as backend:
            endpoint = f"my-release-milvus=127.0.0.1:{backend.port},health={backend.health_port}"
            arguments: list[str] = ["-f", str(folder / "manifests"), "--endpoint", endpoint, "--metrics-bind", metrics]
            arguments += ["--http-port", str(port), "--https-port", str(free_port()), "--drain", "1"]
            with up(arguments, folder / "data") as running:
                running.wait_healthy(1)
                yield Counted(running, metrics, port, backend)
    finally:
        shutil.rmtree(folder)


def search(collection: str, database: str = "") -> milvus_pb2.SearchRequest:
    """Return a question."""
    return milvus_pb2.SearchRequest(db_name=database, collection_name=collection, nq=1, placeholder_group=b"x" * 100)


def test_calls_are_counted_by_collection_user_and_endpoint(counted: Counted) -> None:
    """The page and `kiteway top` have the same: calls, errors, rows and bytes, and who made them."""
    for _ in range(3):
        counted.call(SEARCH, search("books"), dbname="zoo")
    counted.call(INSERT, milvus_pb2.InsertRequest(db_name="farm", collection_name="birds"), user="alice")
    counted.call(SEARCH, search("nothing"))

    labels = {"pool": POOL, "database": "zoo", "collection": "books", "rpc": "Search"}
    eventually(lambda: counted.value("kiteway_calls_total", **labels) == 3, "the searches are counted")
    assert counted.value("kiteway_call_rows_total", **labels) == 21
    size = 5 + len(search("books").SerializeToString())
    assert counted.value("kiteway_call_request_bytes_total", **labels) == 3 * size
    assert counted.value("kiteway_call_response_bytes_total", **labels) == 3 * (5 + len(FOUND))
    assert counted.value("kiteway_call_duration_seconds_count", **labels) == 3
    # A call is counted when Envoy has ended it, which is after its client has the answer.
    insert = {"database": "farm", "collection": "birds", "rpc": "Insert"}
    eventually(lambda: counted.value("kiteway_calls_total", **insert) == 1, "the insert is counted")
    eventually(lambda: counted.value("kiteway_call_errors_total", **UNKNOWN) == 1, "the unknown collection is counted")

    rows = {(row["database"], row["collection"], row["rpc"]): row for row in counted.top("--by", "rpc")}
    books = rows["zoo", "books", "Search"]
    assert (books["calls"], books["errors"], books["rows"]) == (3, {}, 21)
    assert 0 < books["p50"] <= books["p99"]
    assert rows["(other)", "(other)", "Search"]["errors"] == {"100": 1}
    users = {row["user"]: row["calls"] for row in counted.top("--by", "user")}
    assert (users["root"], users["alice"]) == (4, 1)
    [endpoint] = counted.top("--by", "endpoint")
    assert endpoint["endpoint"] == f"127.0.0.1:{counted.backend.port}"
    assert endpoint["calls"] == 5


def test_no_client_hides_its_calls_as_kiteways_own(counted: Counted) -> None:
    """Envoy marks the calls of the filter itself with a header, which it removes from what clients send."""
    for value in ("true", "false"):
        counted.call(SEARCH, search("books", "hidden"), **{"x-envoy-internal": value})
    labels = {"database": "hidden", "collection": "books"}
    eventually(lambda: counted.value("kiteway_calls_total", **labels) == 2, "the searches are counted")


def test_a_stranger_makes_no_series(counted: Counted) -> None:
    """Made-up databases, collections and users, refused or not found, add no line but those of the overflow."""
    unknown = counted.value("kiteway_call_errors_total", **UNKNOWN)

    def errors(of_unknown: int) -> bool:
        return counted.value("kiteway_call_errors_total", **UNKNOWN) == unknown + of_unknown

    counted.call(SEARCH, search("books"))
    with pytest.raises(grpc.RpcError):
        counted.call(SEARCH, search("books"), user="nobody")
    counted.call(SEARCH, search("none"))
    eventually(lambda: errors(1), "the first calls are counted")
    before = counted.page().count("\nkiteway_call")
    for number in range(200):
        counted.call(SEARCH, search(f"made-up-{number}", f"database-{number}"))
        with pytest.raises(grpc.RpcError):
            counted.call(SEARCH, search("books"), user=f"user-{number}")
        with pytest.raises(grpc.RpcError):
            counted.call(f"{SERVICE}/Query", search("books"), user=f"user-{number}")
    eventually(lambda: errors(201), "the calls are counted")
    page = counted.page()
    # The rpc Query of the overflow is new.
    assert page.count("\nkiteway_call") - before < 25
    assert "made-up" not in page
    assert {row["user"] for row in counted.top("--by", "user")} <= {"root", "alice", "(other)", "(none)"}


def test_an_answer_that_does_not_come_is_counted(counted: Counted) -> None:
    """A client's deadline passes: an error with the code `none`."""

    def hang(_request: bytes, context: grpc.ServicerContext) -> bytes:
        ended = threading.Event()
        context.add_callback(ended.set)
        ended.wait(10)
        return FOUND

    counted.call(SEARCH, search("birds", "hung"))
    counted.backend.answer = hang
    try:
        with grpc.insecure_channel(f"127.0.0.1:{counted.port}") as channel:
            grpc.channel_ready_future(channel).result(30)
            with pytest.raises(grpc.RpcError):
                call(channel, SEARCH, search("birds", "hung").SerializeToString(), timeout=3)
    finally:
        counted.backend.answer = milvus
    wanted = {"database": "hung", "collection": "birds", "code": "none"}
    eventually(lambda: counted.value("kiteway_call_errors_total", **wanted) == 1, "the call has ended")


def test_no_password_is_kept(counted: Counted) -> None:
    """Neither the page nor any file of the instance has it, as it was sent or in clear."""
    counted.call(SEARCH, search("books"))
    secret = base64.b64encode(b"root:Milvus-s3cret")
    texts = [counted.page().encode(), json.dumps(counted.top("--by", "user")).encode()]
    texts += [path.read_bytes() for path in counted.running.instance.data_dir.rglob("*") if path.is_file()]
    assert len(texts) > 5
    for text in texts:
        assert b"s3cret" not in text
        assert secret not in text


def test_top_is_live_in_a_terminal_until_ctrl_c(counted: Counted) -> None:
    """The calls of the last interval are shown anew each time; Ctrl-C ends it with status 0."""
    ours, theirs = pty.openpty()
    command = [str(KITEWAY), "top", "--interval", "0.2", "--data-dir", str(counted.running.instance.data_dir)]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "160", "LINES": "24"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    seen = bytearray()

    def read() -> None:
        if select.select([ours], [], [], 0)[0]:
            with contextlib.suppress(OSError):  # it has ended, and closed the other end
                seen.extend(os.read(ours, 65536))

    def ended() -> bool:
        read()  # What nobody reads fills the terminal, and it would wait for room.
        return process.poll() is not None

    def shown(word: bytes) -> Callable[[], bool]:
        def look() -> bool:
            counted.call(SEARCH, search("books", "live"))
            read()
            return word in seen

        return look

    try:
        eventually(shown(b"live"), "the calls are shown")
        del seen[:]
        eventually(shown(b"live"), "and shown anew")
        process.send_signal(signal.SIGINT)
        eventually(ended, "it ends")
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_a_new_envoy_begins_to_count_anew(counted: Counted) -> None:
    """The socket of an Envoy that was killed does not stop the next one."""
    counted.call(SEARCH, search("books", "before"))
    counted.running.kill("envoy")

    def counts() -> bool:
        with contextlib.suppress(grpc.RpcError):
            counted.call(SEARCH, search("books", "after"))
        return counted.value("kiteway_calls_total", database="after", collection="books") > 0

    eventually(counts, "the new Envoy counts")
    assert counted.value("kiteway_calls_total", database="before") == 0
    assert {row["user"] for row in counted.top("--by", "user")} >= {"root"}
