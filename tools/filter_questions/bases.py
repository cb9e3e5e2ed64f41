"""Requests that PyMilvus makes."""

from __future__ import annotations

from typing import Any

from pymilvus import AnnSearchRequest, RRFRanker
from pymilvus.client.prepare import Prepare
from pymilvus.grpc_gen import milvus_pb2, schema_pb2

from tools.filter_questions.variant import pair

_VECTORS = [[0.5, -1.25, 3.0, 0.125]]


def search(**more: Any) -> milvus_pb2.SearchRequest:
    """Return a search as PyMilvus makes it; `more` replaces arguments of PyMilvus."""
    arguments: dict[str, Any] = {
        "collection_name": "books",
        "anns_field": "vector",
        "param": {"metric_type": "L2", "params": {"nprobe": 10}},
        "limit": 7,
        "data": _VECTORS,
        "expr": "id > {low}",
        "expr_params": {"low": 5, "words": ["a", "b"]},
        "partition_names": ["a", "b"],
        "output_fields": ["id", "title"],
        "guarantee_timestamp": 1,
    }
    made: milvus_pb2.SearchRequest = Prepare.search_requests_with_expr(**(arguments | more))
    return made


def hybrid() -> milvus_pb2.HybridSearchRequest:
    """Return a hybrid search of two searches."""
    both = [AnnSearchRequest(_VECTORS, "vector", {"metric_type": "L2"}, limit) for limit in (20, 40)]
    made: milvus_pb2.HybridSearchRequest = Prepare.hybrid_search_request_with_ranker(
        "books",
        [search(data=each.data, limit=each.limit, guarantee_timestamp=9) for each in both],
        RRFRanker(),
        10,
        partition_names=["a"],
        output_fields=["id"],
        guarantee_timestamp=1,
    )
    return made


def query() -> milvus_pb2.QueryRequest:
    """Return a query."""
    values = {"ids": [1, 2], "x": "y"}
    made: milvus_pb2.QueryRequest = Prepare.query_request(
        "books", "id in {ids}", ["id"], ["p"], expr_params=values, guarantee_timestamp=1, limit=100
    )
    return made


def full_search() -> milvus_pb2.SearchRequest:
    """Return a search with every field that the cache lets through."""
    message = search()
    message.db_name = "library"
    message.namespace = "n"
    message.sub_reqs.add(
        dsl="x > 1",
        placeholder_group=b"v",
        nq=1,
        search_params=[pair("topk", "4"), pair("anns_field", "other")],
        expr_template_values={"a": schema_pb2.TemplateValue(int64_val=1), "b": schema_pb2.TemplateValue(bool_val=True)},
    )
    add_ranker(message.function_score, ("k", "60"), ("reranker", "rrf"))
    message.highlighter.params.append(pair("pre_tags", "<b>"))
    message.search_aggregation.fields.append("year")
    return message


def add_ranker(score: schema_pb2.FunctionScore, *parameters: tuple[str, str]) -> None:
    """Add a reranker with these parameters."""
    score.functions.add(name="ranker", type=schema_pb2.FunctionType.Rerank, params=[pair(*each) for each in parameters])
