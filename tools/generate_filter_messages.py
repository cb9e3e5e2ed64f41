"""
Generate the messages for the tests of the filter's readers.

PyMilvus makes every message, by its functions for requests or by its protobufs. ``meaning`` has the values that were
put in. Without arguments the command writes ``filter/testdata/messages.json``; with ``--check`` it writes nothing and
exits with 1 when the file is out of date.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from google.protobuf.message import Message
from pymilvus import AnnSearchRequest, DataType, RRFRanker
from pymilvus.client.prepare import Prepare
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

from kiteway.milvus.catalogue import Rpc, catalogue

ROOT = Path(__file__).resolve().parent.parent
MESSAGES = ROOT / "filter/testdata/messages.json"

_DIMENSION = 64
_FIELD_NAMES = {
    "database": ("db_name", "dbName"),
    "collection": ("collection_name", "collectionName", "collection_names", "oldName"),
    "alias": ("alias",),
    "new_database": ("newDBName", "target_db_name"),
    "new_collection": ("newName", "target_collection_name"),
    "partitions": ("partition_name", "partition_names"),
}


def case(rpc: str, message: Message, **meaning: object) -> dict[str, Any]:
    """Return a case. What is empty, 0 or the level strong, which is 0 on the wire, is left out of its meaning."""
    meaning = {key: value for key, value in meaning.items() if value not in (0, "strong")}
    return {"rpc": rpc, "message": message.SerializeToString(deterministic=True).hex(), "meaning": meaning}


def questions() -> Iterator[dict[str, Any]]:
    """Yield requests: one of every rpc with all its names, and those that PyMilvus builds for data."""
    for rpc in catalogue():
        yield from _named(rpc)
    yield from _searches()
    yield from _queries()
    yield from _writes()


def _named(rpc: Rpc) -> Iterator[dict[str, Any]]:
    message_type = getattr(milvus_pb2, rpc.request.rpartition(".")[2], None)
    if message_type is None or rpc.streaming:
        return
    message, meaning = message_type(), dict[str, object]()
    for role in msgspec.to_builtins(rpc.fields):
        field = next(f for f in message.DESCRIPTOR.fields if f.name in _FIELD_NAMES[role])
        if field.is_repeated:
            getattr(message, field.name).extend([f"the-{role}", "another"])
        else:
            setattr(message, field.name, f"the-{role}")
        count = 2 if field.is_repeated else 1
        if role == "partitions":
            meaning["partitions"] = count
        else:
            meaning[role] = f"the-{role}"
        if role == "collection":
            meaning["collections"] = count
    yield case(rpc.name, message, **meaning)


def _vectors(count: int) -> list[list[float]]:
    return [[(row * 7 + place) / 3 for place in range(_DIMENSION)] for row in range(count)]


def _search(**more: Any) -> Message:
    arguments = {
        "collection_name": "books",
        "anns_field": "vector",
        "param": {"metric_type": "L2", "params": {"nprobe": 10}},
        "limit": 7,
        "data": _vectors(3),
        "expr": "id > 5",
        "partition_names": ["a", "b"],
        "output_fields": ["id", "title", "year"],
    }
    made: Message = Prepare.search_requests_with_expr(**(arguments | more))
    return made


def _searches() -> Iterator[dict[str, Any]]:
    size = {"collection": "books", "collections": 1, "partitions": 2, "output_fields": 3, "queries": 3, "limit": 7}
    yield case("Search", _search(guarantee_timestamp=1), **size, level="default", guarantee=1)
    for name, number, guarantee in (("strong", 0, 0), ("session", 1, 5), ("bounded", 2, 2), ("eventually", 3, 1)):
        options = {"use_default_consistency": False, "consistency_level": number, "guarantee_timestamp": guarantee}
        yield case("Search", _search(**options), **size, level=name, guarantee=guarantee)
    page = _search(iterator=True, guarantee_timestamp=1 << 60)
    yield case("Search", page, **size, level="default", guarantee=1 << 60, iterator=True)
    both = [AnnSearchRequest(_vectors(2), "vector", {"metric_type": "L2"}, limit) for limit in (20, 40)]
    hybrid = Prepare.hybrid_search_request_with_ranker(
        "books",
        [
            _search(data=each.data, limit=each.limit, guarantee_timestamp=9, use_default_consistency=False)
            for each in both
        ],
        RRFRanker(),
        10,
        partition_names=["a"],
        output_fields=["id"],
        guarantee_timestamp=2,
        use_default_consistency=False,
        consistency_level=2,
    )
    meaning = {"collection": "books", "collections": 1, "partitions": 1, "output_fields": 1, "queries": 2}
    sub = {"sub_searches": 2, "sub_limit": 40, "limit": 10, "level": "bounded", "guarantee": 2}
    yield case("HybridSearch", hybrid, **meaning, **sub)
    advanced = milvus_pb2.SearchRequest(collection_name="books", use_default_consistency=True)
    for limit in (30, 5):
        parameters = [common_pb2.KeyValuePair(key="topk", value=str(limit))]
        advanced.sub_reqs.append(milvus_pb2.SubSearchRequest(nq=4, search_params=parameters))
    sub = {"queries": 4, "sub_searches": 2, "sub_limit": 30}
    yield case("Search", advanced, collection="books", collections=1, level="default", **sub)


def _queries() -> Iterator[dict[str, Any]]:
    meaning = {"collection": "books", "collections": 1, "output_fields": 2, "level": "default", "guarantee": 1}
    no_partitions: list[str] = []
    arguments = ("books", "id in [1, 2]", ["id", "title"], no_partitions)
    query = Prepare.query_request(*arguments, guarantee_timestamp=1, limit=100)
    yield case("Query", query, **meaning, limit=100)
    query = Prepare.query_request(*arguments, guarantee_timestamp=1, limit=100, iterator="True")
    yield case("Query", query, **meaning, limit=100, iterator=True)


def _writes() -> Iterator[dict[str, Any]]:
    fields = [
        {"name": "id", "type": DataType.INT64, "params": {}, "is_primary": True},
        {"name": "vector", "type": DataType.FLOAT_VECTOR, "params": {"dim": _DIMENSION}},
        {"name": "title", "type": DataType.VARCHAR, "params": {"max_length": 100}},
    ]
    rows = [{"id": row, "vector": vector, "title": "t" * row} for row, vector in enumerate(_vectors(5))]
    meaning = {"collection": "books", "collections": 1, "partitions": 1, "rows": 5}
    yield case("Insert", Prepare.row_insert_param("books", rows, "a", fields), **meaning)
    yield case("Upsert", Prepare.row_upsert_param("books", rows, "a", fields), **meaning)
    yield case(
        "Delete", Prepare.delete_request("books", "id > 1", consistency_level=2), collection="books", collections=1
    )


def answers() -> Iterator[dict[str, Any]]:
    """Yield responses: an error of every rpc, and results."""
    for rpc in catalogue():
        yield from _refused(rpc)
    found = schema_pb2.SearchResultData(num_queries=3, top_k=200, topks=[200, 0, 131], scores=[0.5] * 331)
    found.ids.int_id.data.extend(range(331))
    found.fields_data.append(_column(schema_pb2.ScalarField(long_data=schema_pb2.LongArray(data=range(331)))))
    yield case("Search", milvus_pb2.SearchResults(status=common_pb2.Status(), results=found), rows=331)
    yield case("HybridSearch", milvus_pb2.SearchResults(results=found, collection_name="books"), rows=331)
    for columns in (
        schema_pb2.ScalarField(bool_data=schema_pb2.BoolArray(data=[True] * 300)),
        schema_pb2.ScalarField(int_data=schema_pb2.IntArray(data=[-1, 1000, 2] * 100)),
        schema_pb2.ScalarField(long_data=schema_pb2.LongArray(data=[-1, 1 << 60, 2] * 100)),
        schema_pb2.ScalarField(float_data=schema_pb2.FloatArray(data=[0.5] * 300)),
        schema_pb2.ScalarField(double_data=schema_pb2.DoubleArray(data=[0.5] * 300)),
        schema_pb2.ScalarField(string_data=schema_pb2.StringArray(data=["", "title", "t" * 200] * 100)),
        schema_pb2.ScalarField(json_data=schema_pb2.JSONArray(data=[b"{}"] * 300)),
    ):
        vectors = schema_pb2.VectorField(dim=2, float_vector=schema_pb2.FloatArray(data=[0.5] * 600))
        vector = schema_pb2.FieldData(field_name="vector", vectors=vectors)
        yield case("Query", milvus_pb2.QueryResults(fields_data=[vector, _column(columns)]), rows=300)
    several = [_column(schema_pb2.ScalarField(int_data=schema_pb2.IntArray(data=range(40)))) for _ in range(3)]
    yield case("Query", milvus_pb2.QueryResults(fields_data=several), rows=40)
    yield case("Query", milvus_pb2.QueryResults(status=common_pb2.Status()), rows=0)
    written = milvus_pb2.MutationResult(succ_index=range(300), insert_cnt=300, timestamp=1 << 60)
    yield case("Insert", written, rows=300)
    yield case("Delete", milvus_pb2.MutationResult(delete_cnt=5), rows=5)
    yield case("Upsert", milvus_pb2.MutationResult(upsert_cnt=6), rows=6)


def _column(scalars: Message) -> schema_pb2.FieldData:
    return schema_pb2.FieldData(type=schema_pb2.Int64, field_name="id", scalars=scalars)


def _refused(rpc: Rpc) -> Iterator[dict[str, Any]]:
    refusal = common_pb2.Status(error_code=49, code=8, reason="request is rejected: " + "x" * 200)
    if rpc.streaming:
        return
    if rpc.response == "common.Status":
        yield case(rpc.name, refusal, code=8, error_code=49)
        return
    message_type = getattr(milvus_pb2, rpc.response.rpartition(".")[2], None)
    if message_type is None:
        return
    status = [f.name for f in message_type.DESCRIPTOR.fields if f.message_type is refusal.DESCRIPTOR]
    if status:
        yield case(rpc.name, message_type(**{status[0]: refusal}), code=8, error_code=49)


def render() -> str:
    """Return the file, one message a line; equal versions of PyMilvus give equal bytes."""
    kinds = {"questions": questions(), "answers": answers()}
    lists = (f'"{kind}": [\n' + ",\n".join(json.dumps(each) for each in cases) + "\n]" for kind, cases in kinds.items())
    return "{\n" + ",\n".join(lists) + "\n}\n"


def main(arguments: list[str]) -> int:
    """Write the file, or with ``--check`` say whether it is up to date."""
    if arguments not in ([], ["--check"]):
        print("usage: generate_filter_messages.py [--check]", file=sys.stderr)
        return 2
    text = render()
    if not arguments:
        MESSAGES.write_text(text)
        return 0
    if MESSAGES.exists() and MESSAGES.read_text() == text:
        return 0
    print(
        f"{MESSAGES.relative_to(ROOT)} is out of date: run `python tools/generate_filter_messages.py`", file=sys.stderr
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
