"""Calls of each kind that applications make often, with the answers that a backend of no cost gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

from bench.backends import LIMIT, SERVICE, Request, get_version, search
from bench.collection import COLLECTION, DIMENSION, search_message
from bench.outcome import BenchError

ROWS = 10
"""The rows that are written, deleted and found."""


def kinds() -> tuple[Request, ...]:
    """Return one call of each kind."""
    return (
        get_version(),
        search(1),
        _request("HybridSearch", _hybrid_search(), _finds(milvus_pb2.SearchResults)),
        _request("Query", _query(), _finds(milvus_pb2.QueryResults)),
        _request("Insert", milvus_pb2.InsertRequest(**_rows()), _writes("insert_cnt")),
        _request("Upsert", milvus_pb2.UpsertRequest(**_rows()), _writes("upsert_cnt")),
        _request("Delete", _delete(), _writes("delete_cnt")),
        _request("DescribeCollection", _describe(), _describes),
    )


def answers() -> Mapping[str, bytes]:
    """Return the answers to those of `kinds` that `bench.backends.constant_answers` does not have, by rpc."""
    found = milvus_pb2.QueryResults(collection_name=COLLECTION, fields_data=[_keys()], output_fields=["id"])
    hits: Any = milvus_pb2.SearchResults(collection_name=COLLECTION)
    hits.results.num_queries, hits.results.top_k = 1, LIMIT
    hits.results.topks.append(LIMIT)
    hits.results.ids.int_id.data.extend(range(LIMIT))
    hits.results.scores.extend(number / LIMIT for number in range(LIMIT))
    schema = schema_pb2.CollectionSchema(name=COLLECTION)
    schema.fields.add(name="id", fieldID=100, is_primary_key=True, data_type=schema_pb2.DataType.Int64)
    schema.fields.add(name="vector", fieldID=101, data_type=schema_pb2.DataType.FloatVector)
    described = milvus_pb2.DescribeCollectionResponse(
        schema=schema, collectionID=1 << 58, consistency_level=common_pb2.ConsistencyLevel.Bounded
    )
    each: dict[str, Any] = {
        "HybridSearch": hits,
        "Query": found,
        "Insert": milvus_pb2.MutationResult(insert_cnt=ROWS),
        "Upsert": milvus_pb2.MutationResult(upsert_cnt=ROWS),
        "Delete": milvus_pb2.MutationResult(delete_cnt=ROWS),
        "DescribeCollection": described,
    }
    for answer in each.values():
        answer.status.SetInParent()
    return {name: answer.SerializeToString() for name, answer in each.items()}


def _request(name: str, message: Any, check: Callable[[bytes], None]) -> Request:
    return Request(f"{SERVICE}/{name}", message.SerializeToString(), check)


def _keys() -> Any:
    column = schema_pb2.FieldData(field_name="id", type=schema_pb2.DataType.Int64)
    column.scalars.long_data.data.extend(range(ROWS))
    return column


def _rows() -> dict[str, Any]:
    vectors = schema_pb2.FieldData(field_name="vector", type=schema_pb2.DataType.FloatVector)
    vectors.vectors.dim = DIMENSION
    vectors.vectors.float_vector.data.extend([0.5] * (ROWS * DIMENSION))
    return {"collection_name": COLLECTION, "num_rows": ROWS, "fields_data": [_keys(), vectors]}


def _hybrid_search() -> Any:
    request = milvus_pb2.HybridSearchRequest(collection_name=COLLECTION, use_default_consistency=True)
    for seed in (1, 2):
        request.requests.append(milvus_pb2.SearchRequest.FromString(search_message(1, LIMIT, seed=seed)))
    for key, value in (("strategy", "rrf"), ("params", '{"k": 60}'), ("limit", str(LIMIT))):
        request.rank_params.add(key=key, value=value)
    return request


def _query() -> Any:
    return milvus_pb2.QueryRequest(
        collection_name=COLLECTION,
        expr=f"id in {list(range(ROWS))}",
        output_fields=["id"],
        use_default_consistency=True,
    )


def _delete() -> Any:
    return milvus_pb2.DeleteRequest(collection_name=COLLECTION, expr=f"id in {list(range(ROWS))}")


def _describe() -> Any:
    return milvus_pb2.DescribeCollectionRequest(collection_name=COLLECTION)


def _succeeded(kind: Any, answer: bytes) -> Any:
    result = kind.FromString(answer)
    if result.status.code or result.status.error_code:
        raise BenchError(f"{kind.__name__}: the backend says {result.status.reason}")
    return result


def _finds(kind: Any) -> Callable[[bytes], None]:
    def check(answer: bytes) -> None:
        result = _succeeded(kind, answer)
        if kind is milvus_pb2.QueryResults:
            found = [len(column.scalars.long_data.data) for column in result.fields_data]
        else:
            found = list(result.results.topks)
        if found != [ROWS]:
            raise BenchError(f"{kind.__name__}: {found} rows found, not {ROWS}")

    return check


def _writes(counter: str) -> Callable[[bytes], None]:
    def check(answer: bytes) -> None:
        written = getattr(_succeeded(milvus_pb2.MutationResult, answer), counter)
        if written != ROWS:
            raise BenchError(f"MutationResult: {counter} is {written}, not {ROWS}")

    return check


def _describes(answer: bytes) -> None:
    fields = [field.name for field in _succeeded(milvus_pb2.DescribeCollectionResponse, answer).schema.fields]
    if fields != ["id", "vector"]:
        raise BenchError(f"DescribeCollection: the fields are {fields}")
