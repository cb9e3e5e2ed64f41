"""The filter's table of rpcs, made from the catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest

from kiteway.milvus.catalogue import catalogue
from tools import generate_rpc_table as generator


def test_the_checked_in_table_is_what_the_catalogue_gives() -> None:
    """The Rust table can not lag behind the catalogue."""
    assert generator.TABLE.read_text() == generator.render(catalogue())


def test_check_tells_a_stale_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--check`` writes nothing, exits 1 on a stale table and names the command that cures it."""
    stale = tmp_path / "rpc_table.rs"
    stale.write_text("// old\n")
    monkeypatch.setattr(generator, "ROOT", tmp_path)
    monkeypatch.setattr(generator, "TABLE", stale)

    assert generator.main(["--check"]) == 1
    assert stale.read_text() == "// old\n"
    assert "run `python tools/generate_rpc_table.py`" in capsys.readouterr().err
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0


def test_statuses_are_where_pymilvus_has_them() -> None:
    """The place of each response's status agrees with the protobuf descriptors of PyMilvus."""
    milvus_pb2 = pytest.importorskip("pymilvus.grpc_gen.milvus_pb2")
    services = milvus_pb2.DESCRIPTOR.services_by_name
    status = "milvus.proto.common.Status"
    checked = 0
    for rpc in catalogue():
        service = services.get(rpc.service)
        method = service and service.methods_by_name.get(rpc.name)
        if method is None or rpc.streaming:
            continue  # newer than this PyMilvus, or a stream, or of gRPC itself
        fields = [
            field.number
            for field in method.output_type.fields
            if field.message_type is not None and field.message_type.full_name == status
        ]
        if method.output_type.full_name == status:
            expected = "MilvusStatusLocation::Message"
        elif fields:
            expected = f"MilvusStatusLocation::Field({fields[0]})"
        else:
            expected = "MilvusStatusLocation::Nowhere"

        assert generator.milvus_status_location(rpc) == expected, rpc.name
        checked += 1

    assert checked > 100


def test_fields_with_many_names_are_read_as_such() -> None:
    """A field with several collections is one of ``Collections``, as the protobuf descriptors of PyMilvus say."""
    messages = pytest.importorskip("pymilvus.grpc_gen.milvus_pb2").DESCRIPTOR.message_types_by_name
    checked = set()
    for rpc in catalogue():
        message = messages.get(rpc.request.rpartition(".")[2])
        if message is None or rpc.streaming or rpc.fields.collection is None:
            continue
        is_repeated = message.fields_by_number[rpc.fields.collection].is_repeated
        if is_repeated:
            assert "QuestionKey::Collections)" in generator.question(rpc)
            checked.add(rpc.name)
        else:
            assert "QuestionKey::Collections)" not in generator.question(rpc), rpc.name

    assert checked == {"BatchDescribeCollection", "Flush", "ShowCollections"}
