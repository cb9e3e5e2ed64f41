"""The check of the filter's layers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import check_filter_layers
from tools.check_filter_layers import SOURCES, problems


def write(folder: Path, **files: str) -> Path:
    """Write Rust files, named by their module with ``__`` for ``::``."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".rs")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_the_filter_keeps_its_layers() -> None:
    """Every module of the filter uses only the modules that it may use."""
    assert problems(SOURCES) == []


def test_every_module_of_the_table_exists() -> None:
    """Every module in the table exists."""
    assert {path.stem for path in SOURCES.glob("*.rs")} == {*check_filter_layers.LAYERS, "lib"}


def test_the_page_has_the_same_table() -> None:
    """The column "may use" of docs/design/filter.md has what the command allows."""
    page = (SOURCES.parents[2] / "docs/design/filter.md").read_text()
    section = page.partition("\n## The workspace\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", section, re.MULTILINE)
    written = {module: frozenset(re.findall(r"`(\w+)`", uses)) for module, uses in rows}
    assert written == check_filter_layers.LAYERS


@pytest.mark.parametrize(
    "text",
    [
        "use crate::listener::RouteConfig;",
        "use crate::{host::Action, listener::route::RouteConfig};",
        "use crate::{\n    host::{self, Action},\n    listener,\n};",
        "fn f() { crate::listener::hooks::on_request_headers() }",
        "pub(crate) use crate::listener::*;",
        "use crate::listener as l;",
    ],
)
def test_a_forbidden_use_is_named(tmp_path: Path, text: str) -> None:
    """In any notation, the message has the file and what is allowed."""
    [problem] = problems(write(tmp_path, metrics__attempts=f"// one line\n{text}\n", listener="", host=""))

    assert problem.endswith(":2: metrics uses listener, but may use host, milvus")


def test_an_allowed_use_and_a_comment_are_no_problem(tmp_path: Path) -> None:
    """Comments may name any module."""
    text = "//! Unlike `crate::endpoint`.\nuse crate::host::{body, Action}; // not crate::filter\nuse super::*;\n"

    assert problems(write(tmp_path, listener__hooks=text, host__body="")) == []


def test_files_that_use_each_other_are_named(tmp_path: Path) -> None:
    """This holds inside one layer, too, and across a third file."""
    files = {
        "milvus__a": "use crate::milvus::b::B;",
        "milvus__b": "use crate::milvus::c;",
        "milvus__c": "use crate::milvus::a::{A};",
    }
    [problem] = problems(write(tmp_path, **files))

    assert problem.startswith("files that use each other: ")
    assert all(name.replace("__", "::") in problem for name in files)


def test_a_relative_path_is_refused(tmp_path: Path) -> None:
    """It would hide which module is used."""
    [problem] = problems(write(tmp_path, wire__grpc="use super::super::filter::Stream;"))

    assert ":1: write the path from `crate::`" in problem


def test_a_module_without_a_rule_is_refused(tmp_path: Path) -> None:
    """A new module needs a line in the table."""
    [problem] = problems(write(tmp_path, unknown=""))

    assert "the module unknown is not in LAYERS" in problem


def test_the_command_fails_on_a_forbidden_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command exits with 1 and names it, and with 0 for the filter itself."""
    assert check_filter_layers.main() == 0
    monkeypatch.setattr(check_filter_layers, "SOURCES", write(tmp_path, host="use crate::filter::Filter;"))
    assert check_filter_layers.main() == 1
    assert "host uses filter, but may use no other module" in capsys.readouterr().err
