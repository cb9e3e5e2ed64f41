"""Kiteway changes no message: every rpc, every field, fields and rpcs that no version knows yet."""

from __future__ import annotations

import json
import os
import queue
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from pymilvus.grpc_gen import milvus_pb2

from kiteway.demo.guide import HOST
from kiteway.filter import filter_path, missing_reason
from kiteway.milvus.catalogue import Rpc, Stream, catalogue
from tests.support.echo import INITIAL, TRAILER, Echo
from tests.support.filled import UNKNOWN, filled
from tests.support.health import MILVUS, answering
from tests.support.kiteway import Running, tls_files, up_with_guide, wait_until
from tests.support.reads import channel

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]

POLICY = {
    "cache": {"enabled": True, "eventualBound": "30s"},
    "limits": [{"by": ["user"], "requestsPerSecond": 5000, "inFlight": 500}],
    "admission": {"maxConcurrentReads": "adaptive", "maxWait": "5s"},
    "hedging": {"delay": "5s"},
    "allowReplication": True,
}
MESSAGES = Path(__file__).resolve().parents[2] / "filter/testdata/messages.json"
EVERY_BYTE = bytes(range(256))
NEW = "/milvus.proto.milvus.MilvusService/Levitate"
NEW_SERVICE = "/milvus.proto.tomorrow.TomorrowService/Levitate"
UNARY = [rpc for rpc in catalogue() if rpc.stream is Stream.UNARY]
STREAMS = [rpc.path for rpc in catalogue() if rpc.stream is not Stream.UNARY]


@dataclass(frozen=True)
class Site:
    """Kiteway with each part of a policy, in front of the echo."""

    echo: Echo
    running: Running
    client: grpc.Channel

    def call(self, path: str, request: bytes, metadata: Mapping[str, str | bytes] | None = None) -> tuple[bytes, Any]:
        """Call an rpc; return the answer's bytes, and the call for its metadata."""
        rpc: Any = self.client.unary_unary(path)
        answer, call = rpc.with_call(request, timeout=60, metadata=tuple((metadata or {}).items()))
        return bytes(answer), call

    def round_trip(self, path: str, request: bytes, answer: bytes) -> None:
        """Check that both messages cross Kiteway unchanged."""
        self.echo.answers[path] = answer
        self.echo.requests[path].clear()
        try:
            assert self.call(path, request)[0] == answer, path
        finally:
            del self.echo.answers[path]
        assert request in self.echo.requests[path], path

    def stream(self, path: str, messages: Iterator[bytes], answers: int = 1) -> Iterator[bytes]:
        """Begin a stream whose messages come back, each ``answers`` times."""
        rpc: Any = self.client.stream_stream(path)
        metadata = (("x-echo-back", "1"), ("x-echo-answers", str(answers)))
        answered: Iterator[bytes] = rpc(messages, timeout=60, metadata=metadata)
        return answered


@pytest.fixture(scope="module")
def site(free_port: Callable[[], int]) -> Iterator[Site]:
    """Run both, with the guide's manifests."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    backend, front = tls_files(folder, "backend", "localhost"), tls_files(folder, "front", HOST)
    port = free_port()
    try:
        with (
            Echo((backend.cert, backend.key)) as echo,
            answering(MILVUS) as health,
            up_with_guide(folder / "data", front, port, [(echo.port, health)], drain=1, policy=POLICY) as running,
            channel(f"127.0.0.1:{port}", front.cert, HOST) as client,
        ):
            yield Site(echo, running, client)
    finally:
        shutil.rmtree(folder)


def request_of(rpc: Rpc) -> bytes:
    """Return a request with all fields that PyMilvus knows, and some that no version knows."""
    message = getattr(milvus_pb2, rpc.request.rpartition(".")[2], None)
    return UNKNOWN if message is None else filled(message.DESCRIPTOR).SerializeToString()


def response_of(rpc: Rpc) -> bytes:
    """Return the same for the answer, with a status of success."""
    service = milvus_pb2.DESCRIPTOR.services_by_name.get(rpc.service)
    method = service.methods_by_name.get(rpc.name) if service else None
    return UNKNOWN if method is None else filled(method.output_type).SerializeToString()


@pytest.mark.parametrize("rpc", UNARY, ids=lambda rpc: rpc.name)
def test_every_rpc_crosses_unchanged(site: Site, rpc: Rpc) -> None:
    """The endpoint gets the bytes of a request with every field, and the client those of the answer; unknown fields too."""
    site.round_trip(rpc.path, request_of(rpc), response_of(rpc))


def test_what_pymilvus_sends_crosses_unchanged(site: Site) -> None:
    """So do the messages that PyMilvus makes: searches, queries, writes, and one of each rpc with its names."""
    cases = json.loads(MESSAGES.read_text())["questions"]
    paths = {rpc.name: rpc.path for rpc in UNARY}
    sent = [(paths[case["rpc"]], bytes.fromhex(case["message"])) for case in cases if case["rpc"] in paths]
    assert len(sent) > len(UNARY)
    for path, message in sent:
        site.round_trip(path, message, b"\x0a\x00" + UNKNOWN)


def test_an_answer_from_the_cache_has_unknown_fields(site: Site) -> None:
    """A read that the cache answers has the bytes of Milvus's answer, the unknown fields too."""
    search = next(rpc for rpc in UNARY if rpc.name == "Search")
    request = milvus_pb2.SearchRequest(collection_name="cached", dsl="id > 1", consistency_level=3)
    request.MergeFromString(UNKNOWN)
    wanted = response_of(search)
    site.echo.answers[search.path] = wanted
    seen: set[str] = set()

    def hit() -> bool:
        answer, call = site.call(search.path, request.SerializeToString())
        assert answer == wanted
        seen.add(str(dict(call.initial_metadata()).get("kiteway-cache", "")).partition(";")[0])
        return "hit" in seen

    # The changes of the other tests close the cache for a while.
    wait_until(hit, f"an answer comes from the cache, not only {seen}")
    del site.echo.answers[search.path]


def test_metadata_crosses_in_both_directions(site: Site) -> None:
    """Metadata that Kiteway does not know, and the initial and trailing metadata of the answer, arrive, any bytes in them."""
    path = next(rpc.path for rpc in UNARY if rpc.name == "Insert")
    metadata: dict[str, str | bytes] = {
        "identifier": "7",
        "dbname": "zoo",
        "x-echo-bin": EVERY_BYTE,
        INITIAL: "a ~ value",
    }
    _, call = site.call(path, UNKNOWN, metadata)
    got = site.echo.metadata[path]
    assert {key: got[key] for key in metadata} == metadata
    assert dict(call.initial_metadata())[INITIAL] == "a ~ value"
    assert dict(call.trailing_metadata())[TRAILER] == EVERY_BYTE


@pytest.mark.parametrize("path", [NEW, NEW_SERVICE])
def test_a_new_rpc_works(site: Site, path: str) -> None:
    """An rpc that the catalogue does not know crosses, also with 3 MB in each direction, and is sent once."""
    large = os.urandom(3 << 20)
    site.round_trip(path, large, large[::-1])
    assert len(site.echo.requests[path]) == 1


@pytest.mark.parametrize("path", [*STREAMS, NEW, NEW_SERVICE])
def test_a_stream_crosses_unchanged(site: Site, path: str) -> None:
    """The messages of a stream arrive in their order and in both directions, of a new rpc too."""
    messages = [os.urandom(size) for size in (0, 1, 100, 70_000, 3)]
    assert list(site.stream(path, iter(messages))) == messages
    assert list(site.stream(path, iter([b"begin"]), answers=300)) == [b"begin"] * 300


def test_a_stream_answers_while_it_is_open(site: Site) -> None:
    """Kiteway holds back no message of a stream whose client has not ended: each is answered before the next is sent."""
    messages: queue.Queue[bytes | None] = queue.Queue()
    answers = site.stream(NEW, iter(messages.get, None))
    for number in range(5):
        messages.put(str(number).encode())
        assert next(answers) == str(number).encode()
    messages.put(None)
    assert list(answers) == []
