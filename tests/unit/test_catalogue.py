"""The catalogue of rpcs, and the expressions made from it."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiteway.milvus.catalogue import Changes, Retry, Rpc, RpcClass, Scope, Stream, catalogue, path_regex

RPCS = catalogue()


@given(st.sets(st.sampled_from(RPCS), min_size=1))
def test_an_expression_matches_exactly_its_rpcs(chosen: set[Rpc]) -> None:
    """For any set of rpcs, the expression matches their paths and no other path of the catalogue."""
    expression = path_regex(chosen)

    assert {rpc for rpc in RPCS if re.fullmatch(expression, rpc.path)} == chosen


@given(st.sets(st.sampled_from(RPCS), min_size=1), st.text("SearchQuyx.", min_size=1, max_size=3))
def test_an_expression_matches_no_longer_name(chosen: set[Rpc], more: str) -> None:
    """The expression does not match a name that only begins like one of them."""
    expression = path_regex(chosen)
    paths = {rpc.path for rpc in chosen}

    assert not [p for p in (path + more for path in paths) if p not in paths and re.fullmatch(expression, p)]


def test_every_read_may_be_repeated_and_no_write() -> None:
    """The class of an rpc agrees with its retry safety."""
    never = {RpcClass.WRITE, RpcClass.WRITE_BULK, RpcClass.DDL, RpcClass.ADMIN_RBAC, RpcClass.REPLICATION}

    assert all(rpc.retry_safe for rpc in RPCS if rpc.rpc_class in {RpcClass.READ, RpcClass.META_READ})
    assert not any(rpc.retry_safe for rpc in RPCS if rpc.rpc_class in never)


def test_a_call_that_changes_something_is_no_read_and_is_not_safe_to_repeat() -> None:
    """Class, change, scope and retry of every rpc agree."""
    rows = {RpcClass.WRITE, RpcClass.WRITE_BULK}
    structure = {RpcClass.DDL, RpcClass.ADMIN_RBAC, RpcClass.LOAD, RpcClass.ADMIN_CLUSTER, RpcClass.REPLICATION}
    for rpc in RPCS:
        assert (rpc.changes is Changes.NONE) == (rpc.scope is Scope.NONE), rpc.name
        assert (rpc.changes is Changes.ROWS) == (rpc.rpc_class in rows), rpc.name
        if rpc.changes is Changes.NONE:
            assert not rpc.later, rpc.name
        else:
            assert rpc.retry is Retry.UNSENT, rpc.name
        if rpc.changes is Changes.STRUCTURE:
            assert rpc.rpc_class in structure, rpc.name
    always = {RpcClass.DDL, RpcClass.ADMIN_RBAC}
    assert all(rpc.changes is Changes.STRUCTURE for rpc in RPCS if rpc.rpc_class in always)


def test_the_scope_of_a_change_is_named_in_the_request() -> None:
    """A change of a collection or a database comes with its name."""
    for rpc in RPCS:
        named = rpc.fields
        if rpc.scope is Scope.COLLECTION:
            assert (named.collection or named.alias or named.new_collection) is not None, rpc.name
        if rpc.scope is Scope.DATABASE:
            assert named.database is not None, rpc.name


def test_what_is_not_in_the_schema_is_refused() -> None:
    """The schema refuses an unknown value, an unknown key, and a missing key."""
    good = json.loads(msgspec.json.encode(RPCS[0]))
    assert msgspec.convert(good, Rpc) == RPCS[0]
    for wrong in ({"retry": "yes"}, {"changes": "row"}, {"scope": "all"}, {"invalidates": "-"}, {"fields": {"db": 2}}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(good | wrong, Rpc)
    for key in ("retry", "changes", "scope", "fields"):
        with pytest.raises(msgspec.ValidationError, match=key):
            msgspec.convert({name: value for name, value in good.items() if name != key}, Rpc)


def test_the_catalogue_is_that_of_pymilvus() -> None:
    """Every rpc of PyMilvus's service definitions is there, with its messages, streaming and fields."""
    descriptor = pytest.importorskip("pymilvus.grpc_gen.milvus_pb2").DESCRIPTOR
    known = {(rpc.service, rpc.name): rpc for rpc in RPCS}
    assert len({rpc.name for rpc in RPCS}) == len(RPCS)
    checked = 0
    for service in ("MilvusService", "ClientTelemetryService"):
        for method in descriptor.services_by_name[service].methods:
            rpc = known[service, method.name]
            assert rpc.request.rpartition(".")[2] == method.input_type.name
            assert rpc.response.rpartition(".")[2] == method.output_type.name
            assert rpc.stream == _STREAMS[method.client_streaming, method.server_streaming]
            fields = {_ROLES[f.name]: f.number for f in method.input_type.fields if f.name in _ROLES}
            assert msgspec.to_builtins(rpc.fields) == fields, rpc.name
            checked += 1
    assert checked > 140


_STREAMS = {(False, False): Stream.UNARY, (False, True): Stream.SERVER, (True, True): Stream.BIDIRECTIONAL}
_ROLES = {
    "db_name": "database",
    "dbName": "database",
    "collection_name": "collection",
    "collectionName": "collection",
    "collection_names": "collection",
    "oldName": "collection",
    "alias": "alias",
    "newName": "new_collection",
    "target_collection_name": "new_collection",
    "newDBName": "new_database",
    "target_db_name": "new_database",
    "partition_name": "partitions",
    "partition_names": "partitions",
}
"""How requests spell the names."""
