"""The catalogue of rpcs, and the expressions made from it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from hypothesis import given
from hypothesis import strategies as st

from kiteway.milvus.catalogue import Changes, RequestFields, Retry, Rpc, RpcClass, Scope, Stream, catalogue, path_regex
from tools import catalogue as tool

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
    methods = {
        f"/{service.full_name}/{method.name}": method
        for service in descriptor.services_by_name.values()
        if service.name != "ProxyService"
        for method in service.methods
    }
    assert len({rpc.name for rpc in RPCS}) == len(RPCS)
    assert len(methods) > 140
    assert tool.compare(RPCS, [tool.Source("PyMilvus", methods)]) == []


def test_the_table_is_written_in_one_form() -> None:
    """``--write`` changes nothing but what is new."""
    assert tool.render(msgspec.json.decode(tool.TABLE.read_bytes(), type=list[Rpc])) == tool.TABLE.read_bytes()


def _methods(*names: str, package: str = "milvus.proto.milvus") -> tool.Source:
    """Return a source with a service whose methods have the messages of Search; names that end with ``Stream`` stream."""
    file = FileDescriptorProto(name="milvus.proto", package=package)
    request = file.message_type.add(name="SearchRequest")
    for number, name in enumerate(["db_name", "collection_name", "nq"], start=2):
        request.field.add(name=name, number=number, type=FieldDescriptorProto.TYPE_STRING)
    file.message_type.add(name="SearchResults")
    service = file.service.add(name="MilvusService")
    for name in names:
        method = service.method.add(
            name=name, input_type=f".{package}.SearchRequest", output_type=f".{package}.SearchResults"
        )
        method.server_streaming = name.endswith("Stream")
    return tool.source("Milvus 9.9", FileDescriptorSet(file=[file]).SerializeToString())


def test_a_new_rpc_is_judged_with_caution() -> None:
    """A new rpc is never sent twice and may change everything, until it is judged; its facts are read."""
    new = {d.rpc: d.row for d in tool.compare([], [_methods("Find", "FindStream")])}

    assert {row.retry for row in new.values()} == {Retry.UNSENT}
    assert {(row.changes, row.scope) for row in new.values()} == {(Changes.STRUCTURE, Scope.POOL)}
    assert (new["Find"].stream, new["FindStream"].stream) == (Stream.UNARY, Stream.SERVER)
    assert (new["Find"].request, new["Find"].response) == ("SearchRequest", "SearchResults")
    assert new["Find"].fields == RequestFields(database=2, collection=3)
    assert new["Find"].note == "Not judged yet: new in Milvus 9.9."


def test_a_changed_fact_is_told_and_the_judgement_kept() -> None:
    """A field that has moved is a difference; class and retry stay."""
    search = next(rpc for rpc in RPCS if rpc.name == "Search")
    moved = msgspec.structs.replace(search, fields=RequestFields(database=7, collection=3))

    [difference] = tool.compare([moved], [_methods("Search")])

    assert difference.what.startswith("fields: RequestFields(database=7")
    assert difference.row.fields.database == 2
    assert (difference.row.rpc_class, difference.row.retry) == (search.rpc_class, search.retry)


def test_the_command_says_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It exits with 1 and a table until the new rpc is written down and judged, and with 2 for a source it cannot read."""
    table = tmp_path / "rpcs.json"
    table.write_bytes(tool.render([rpc for rpc in RPCS if rpc.name == "Search"]))
    monkeypatch.setattr(tool, "TABLE", table)
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr(tool, "read_source", lambda _: _methods("Search", "Find"))

    assert tool.main(["any"]) == 1
    assert re.search(r"Find +Milvus 9[.]9 +new: MilvusService, unary", capsys.readouterr().out)
    assert tool.main(["--write", "any"]) == 0
    assert tool.main(["any"]) == 1
    assert "not judged yet: Find" in capsys.readouterr().out
    table.write_text(table.read_text().replace("Not judged yet: new in Milvus 9.9.", ""))
    assert tool.main(["any"]) == 0
    monkeypatch.undo()
    assert tool.main(["elsewhere"]) == 2
