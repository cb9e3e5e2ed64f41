"""The requests that clients send, as PyMilvus makes them, and what their answers say."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from pymilvus.grpc_gen import milvus_pb2, schema_pb2

from tests.consistency.records import Level
from tests.support.load import query_request
from tests.support.reads import DIMENSION, search_request

_ROWS = 16_384
"""Milvus's largest topk: a search returns all rows that its expression allows."""


def credentials(user: str, password: str) -> tuple[str, str]:
    """Return the header by which Milvus knows a user."""
    return "authorization", base64.b64encode(f"{user}:{password}".encode()).decode()


def encoded(password: str) -> str:
    """Return a password as Milvus takes it in a request."""
    return base64.b64encode(password.encode()).decode()


def read_request(method: str, database: str, name: str, expression: str) -> Any:
    """Return a Search or Query for the rows that an expression allows."""
    if method == "Query":
        request = query_request(name, expression, 0)
    else:
        request = search_request(name, 0)
        request.dsl = expression
        for pair in request.search_params:
            if pair.key == "topk":
                pair.value = str(_ROWS)
    request.db_name = database
    return request


def set_level(request: Any, level: Level, guarantee: int) -> None:
    """Ask at a level; 2 stands for Bounded and 1 for Eventually, as in PyMilvus."""
    request.use_default_consistency = level is Level.DEFAULT
    request.consistency_level = max(level, 0)
    request.guarantee_timestamp = {Level.BOUNDED: 2, Level.EVENTUALLY: 1}.get(level, guarantee)


def rows_of(method: str, answer: Any) -> frozenset[int]:
    """Return the primary keys in the answer to a Search or Query."""
    if method == "Search":
        return frozenset(answer.results.ids.int_id.data)
    fields = (found for found in answer.fields_data if found.field_name == "id")
    return frozenset(key for found in fields for key in found.scalars.long_data.data)


def insert_request(database: str, name: str, block: int, keys: Sequence[int]) -> Any:
    """Return an Insert of rows of one block."""
    vectors = schema_pb2.VectorField(
        dim=DIMENSION,
        float_vector=schema_pb2.FloatArray(data=[float(key % 13) for key in keys for _ in range(DIMENSION)]),
    )
    return milvus_pb2.InsertRequest(
        db_name=database,
        collection_name=name,
        num_rows=len(keys),
        fields_data=[
            _integers("id", keys),
            _integers("block", [block] * len(keys)),
            schema_pb2.FieldData(type=schema_pb2.DataType.FloatVector, field_name="vector", vectors=vectors),
        ],
    )


def _integers(name: str, values: Sequence[int]) -> Any:
    scalars = schema_pb2.ScalarField(long_data=schema_pb2.LongArray(data=values))
    return schema_pb2.FieldData(type=schema_pb2.DataType.Int64, field_name=name, scalars=scalars)


def query_privilege(role: str, collection: str, *, allow: bool) -> Any:
    """Return an OperatePrivilege that grants or revokes Query of a collection in the database ``default``."""
    entity = milvus_pb2.GrantEntity(
        role=milvus_pb2.RoleEntity(name=role),
        object=milvus_pb2.ObjectEntity(name="Collection"),
        object_name=collection,
        grantor=milvus_pb2.GrantorEntity(privilege=milvus_pb2.PrivilegeEntity(name="Query")),
        db_name="default",
    )
    kind = milvus_pb2.OperatePrivilegeType
    return milvus_pb2.OperatePrivilegeRequest(entity=entity, type=kind.Grant if allow else kind.Revoke)
