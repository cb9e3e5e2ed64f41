"""The catalogue of Milvus's calls, and the filter's table made from it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """Return tools/generate_rpc_table.py as a module."""
    path = ROOT / "tools/generate_rpc_table.py"
    spec = importlib.util.spec_from_file_location("generate_rpc_table", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_checked_in_table_is_what_the_catalogue_gives(generator: ModuleType) -> None:
    """The Rust table can not lag behind the catalogue."""
    catalogue = json.loads(generator.CATALOGUE.read_text())

    assert generator.TABLE.read_text() == generator.render(catalogue)


def test_check_tells_a_stale_table(
    generator: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``--check`` writes nothing, exits 1 on a stale table and names the command that cures it."""
    stale = tmp_path / "rpc_table.rs"
    stale.write_text("// old\n")
    monkeypatch.setattr(generator, "ROOT", tmp_path)
    monkeypatch.setattr(generator, "TABLE", stale)
    catalogue = tmp_path / "rpcs.json"
    catalogue.write_text("[]")
    monkeypatch.setattr(generator, "CATALOGUE", catalogue)

    assert generator.main(["--check"]) == 1
    assert stale.read_text() == "// old\n"
    assert "run `python tools/generate_rpc_table.py`" in capsys.readouterr().err
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0


def test_statuses_are_where_pymilvus_has_them(generator: ModuleType) -> None:
    """The place of each response's status agrees with the protobuf descriptors of PyMilvus."""
    milvus_pb2 = pytest.importorskip("pymilvus.grpc_gen.milvus_pb2")
    services = milvus_pb2.DESCRIPTOR.services_by_name
    status = "milvus.proto.common.Status"
    checked = 0
    for rpc in json.loads(generator.CATALOGUE.read_text()):
        method = services[rpc["service"]].methods_by_name.get(rpc["rpc"])
        if method is None or rpc["stream"] != "unary":
            continue  # newer than this PyMilvus, or a stream
        fields = [
            field.number
            for field in method.output_type.fields
            if field.message_type is not None and field.message_type.full_name == status
        ]
        if method.output_type.full_name == status:
            expected = "StatusAt::Message"
        elif fields:
            expected = f"StatusAt::Field({fields[0]})"
        else:
            expected = "StatusAt::Nowhere"

        assert generator.status_at(rpc) == expected, rpc["rpc"]
        checked += 1

    assert checked > 100
