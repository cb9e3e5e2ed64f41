"""The backends of the balancers: a real Milvus, and a server that costs almost no time."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymilvus
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

from bench.balancers import HOST
from bench.collection import COLLECTION, fill, search_message
from bench.grpc_check import wait_until_it_serves
from bench.outcome import BenchError
from bench.processes import free_port, running
from kiteway.certificates.create import create_self_signed
from kiteway.milvus.embedded import StandaloneMilvus, TLSFiles

SERVICE = "/milvus.proto.milvus.MilvusService"
_ROWS = 2000
_START_SECONDS = 60.0
LIMIT = 10
_ROW_BYTES = 512
LARGE_INSERT = 32 << 20
LARGE_ANSWER = 200 << 20


@dataclass(frozen=True)
class Request:
    """A call to measure: its path, the serialised request, and what looks at the answer (BenchError if wrong)."""

    path: str
    message: bytes
    check: Callable[[bytes], None]

    def frame(self) -> bytes:
        """Return the request as one uncompressed gRPC frame."""
        return b"\0" + len(self.message).to_bytes(4, "big") + self.message


def get_version() -> Request:
    """Return the smallest call of Milvus."""

    def check(answer: bytes) -> None:
        if not milvus_pb2.GetVersionResponse.FromString(answer).version:
            raise BenchError("GetVersion: the answer has no version")

    return Request(f"{SERVICE}/GetVersion", milvus_pb2.GetVersionRequest().SerializeToString(), check)


def search(vectors: int) -> Request:
    """Return a search for the nearest rows of so many vectors, as PyMilvus sends it (Bounded)."""

    def check(answer: bytes) -> None:
        result: Any = milvus_pb2.SearchResults.FromString(answer)
        if result.status.code or result.status.error_code:
            raise BenchError(f"Search: Milvus says {result.status.reason}")
        if list(result.results.topks) != [LIMIT] * vectors:
            raise BenchError(f"Search: {list(result.results.topks)} rows found, not {LIMIT} for each of {vectors}")

    return Request(f"{SERVICE}/Search", search_message(vectors, LIMIT, seed=1), check)


def insert(size: int) -> Request:
    """Return an insert of vectors of 128 dimensions that take so many bytes."""
    rows = size // _ROW_BYTES
    message = milvus_pb2.InsertRequest(collection_name=COLLECTION, num_rows=rows)
    column = message.fields_data.add(type=schema_pb2.DataType.FloatVector, field_name="vector")
    column.vectors.dim = _ROW_BYTES // 4
    column.vectors.float_vector.data.extend([0.5] * (rows * _ROW_BYTES // 4))

    def check(answer: bytes) -> None:
        result: Any = milvus_pb2.MutationResult.FromString(answer)
        if result.status.code or result.status.error_code:
            raise BenchError(f"Insert: the backend says {result.status.reason}")

    return Request(f"{SERVICE}/Insert", message.SerializeToString(), check)


def large_query() -> Request:
    """Return a query whose answer is `LARGE_ANSWER`."""
    message = milvus_pb2.QueryRequest(collection_name=COLLECTION, expr="id >= 0", output_fields=["vector"])

    def check(answer: bytes) -> None:
        if len(answer) < LARGE_ANSWER:
            raise BenchError(f"Query: {len(answer)} bytes of {LARGE_ANSWER}")

    return Request(f"{SERVICE}/Query", message.SerializeToString(), check)


def server_certificate(work: Path) -> tuple[Path, Path]:
    """Make a certificate for every server of a bench; the files of it and of its key."""
    pair = create_self_signed([HOST], ["127.0.0.1"])
    certificate, key = work / "tls.crt", work / "tls.key"
    certificate.write_bytes(pair.certificate)
    key.touch(mode=0o600)
    key.write_bytes(pair.key.reveal())
    return certificate, key


@contextmanager
def trivial_backend(
    nghttpd: Path, work: Path, certificate: Path, key: Path, *, more: Mapping[str, bytes] | None = None
) -> Iterator[int]:
    """Serve the `constant_answers`, and ``more`` answers by rpc, from files over TLS, 100 thousand times a second; the port."""
    folder = work / "htdocs" / SERVICE[1:]
    folder.mkdir(parents=True)
    for name, answer in {**constant_answers(LIMIT), **(more or {})}.items():
        (folder / name).write_bytes(b"\0" + len(answer).to_bytes(4, "big") + answer)
    port = free_port()
    command = [nghttpd, "--address=127.0.0.1", f"--htdocs={work / 'htdocs'}", "--trailer=grpc-status: 0"]
    with running([*command, str(port), key, certificate], work / "nghttpd.log"):
        yield port


@contextmanager
def grpc_backend(work: Path, certificate: Path, key: Path, rows: int) -> Iterator[int]:
    """Serve the `constant_answers` over TLS as gRPC, a thousand times a second; the port."""
    port = free_port()
    command = [sys.executable, "-m", "bench.answers", str(port), certificate, key, str(rows)]
    request = get_version()
    with running(command, work / "answers.log") as process:
        wait_until_it_serves(
            HOST,
            port,
            request.path,
            request.message,
            seconds=_START_SECONDS,
            ended=lambda: process.poll() is not None,
        )
        yield port


def constant_answers(rows: int) -> dict[str, bytes]:
    """Return answers by rpc: a Search for one vector that finds so many rows, GetVersion, and what the cache calls."""
    answers: dict[str, Any] = {
        "GetVersion": milvus_pb2.GetVersionResponse(version="v2.3.5"),
        "Search": _found(rows),
        "AllocTimestamp": milvus_pb2.AllocTimestampResponse(timestamp=1 << 58),
        "DescribeCollection": milvus_pb2.DescribeCollectionResponse(
            consistency_level=common_pb2.ConsistencyLevel.Bounded
        ),
    }
    return {name: answer.SerializeToString() for name, answer in answers.items()}


def large_answers() -> dict[str, bytes]:
    """Return the answers to `insert` and `large_query`, by rpc."""
    written = milvus_pb2.MutationResult(insert_cnt=1)
    found = milvus_pb2.QueryResults(collection_name=COLLECTION)
    column = found.fields_data.add(type=schema_pb2.DataType.FloatVector, field_name="vector")
    column.vectors.dim = _ROW_BYTES // 4
    column.vectors.float_vector.data.extend([0.5] * (LARGE_ANSWER // 4))
    for answer in (written, found):
        answer.status.SetInParent()
    return {"Insert": written.SerializeToString(), "Query": found.SerializeToString()}


def _found(rows: int) -> Any:
    """Return the answer to a search for one vector."""
    answer = milvus_pb2.SearchResults(collection_name=COLLECTION)
    answer.status.SetInParent()
    results = answer.results
    results.num_queries, results.top_k = 1, rows
    results.topks.append(rows)
    results.ids.int_id.data.extend(range(1 << 40, (1 << 40) + rows))
    results.scores.extend(number / rows for number in range(rows))
    return answer


@asynccontextmanager
async def milvus_backend(work: Path, certificate: Path, key: Path) -> AsyncIterator[int]:
    """Run the embedded Milvus with TLS and a loaded collection; the port."""
    async with StandaloneMilvus(work / "milvus", tls=TLSFiles(certificate, key)) as milvus:
        address = f"https://127.0.0.1:{milvus.endpoint.port}"
        fill(pymilvus.MilvusClient(address, server_pem_path=str(certificate), server_name=HOST), _ROWS)
        yield milvus.endpoint.port
