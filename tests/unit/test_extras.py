"""The command that installs an extra, for each way in which Kiteway can have been installed."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from kiteway.extras import install_command, install_package_command

WHEEL = "file:///home/user/kiteway-0.3.0-py3-none-any.whl"


def _installed(
    monkeypatch: pytest.MonkeyPatch, *, origin: Mapping[str, object] | None, prefix: Path, pip: bool
) -> None:
    class Distribution:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return json.dumps(origin) if origin is not None else None

    monkeypatch.setattr(metadata, "distribution", lambda _name: Distribution())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "pip" and pip else None)
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setattr(sys, "executable", "/venv/bin/python")


def test_pip_gets_the_wheel_that_was_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without an index that has Kiteway, the file is what works."""
    _installed(monkeypatch, origin={"url": WHEEL, "archive_info": {}}, prefix=tmp_path, pip=True)
    assert install_command("verify") == f"`/venv/bin/python -P -m pip install 'kiteway[verify] @ {WHEEL}'`"
    assert install_package_command("milvus-lite>=3") == "`/venv/bin/python -P -m pip install 'milvus-lite>=3'`"


def test_from_an_index_the_name_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PEP 610: no file says where it came from."""
    _installed(monkeypatch, origin=None, prefix=tmp_path, pip=True)
    assert install_command("acme") == "`/venv/bin/python -P -m pip install 'kiteway[acme]'`"


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, "kiteway[acme] @ git+https://github.com/k/kiteway.git@0123abcd"),
        ({"subdirectory": "py"}, "kiteway[acme] @ git+https://github.com/k/kiteway.git@0123abcd#subdirectory=py"),
    ],
)
def test_from_git_the_command_has_the_commit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, more: Mapping[str, object], wanted: str
) -> None:
    """PEP 610 keeps `git+` and the commit apart from the URL; pip refuses the URL alone."""
    info = {"vcs": "git", "requested_revision": "main", "commit_id": "0123abcd"}
    origin = {"url": "https://github.com/k/kiteway.git", "vcs_info": info, **more}
    _installed(monkeypatch, origin=origin, prefix=tmp_path, pip=True)
    command = install_command("acme")
    assert command == f"`/venv/bin/python -P -m pip install '{wanted}'`"
    assert Requirement(wanted).extras == {"acme"}


@pytest.mark.parametrize("origin", ["", "{", "[]", '{"url": 1}', "{}"])
def test_records_that_cannot_be_read_leave_the_plain_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, origin: str
) -> None:
    """The command is part of an error's message, which must come out."""
    _installed(monkeypatch, origin=None, prefix=tmp_path, pip=False)
    monkeypatch.setattr(metadata, "distribution", lambda _name: SimpleNamespace(read_text=lambda _file: origin))
    for receipt in (b"[tool", b"tool = 1", b"\xff", b"[tool]\nrequirements = [{}]"):
        (tmp_path / "uv-receipt.toml").write_bytes(receipt)
        assert install_command("acme") == "`uv tool install 'kiteway[acme]'`"


def test_an_environment_without_pip_is_uvs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`uv venv` puts no pip into an environment. A checkout stays editable."""
    origin = {"url": "file:///my%20code/kiteway", "dir_info": {"editable": True}}
    _installed(monkeypatch, origin=origin, prefix=tmp_path, pip=False)
    wanted = "`uv pip install --python /venv/bin/python --editable '/my code/kiteway[gke]'`"
    assert install_command("gke") == wanted


def test_a_tool_of_uv_keeps_its_other_extras(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`uv tool install` makes the environment again from what its command says."""
    (tmp_path / "uv-receipt.toml").write_text('[tool]\nrequirements = [{ name = "kiteway", extras = ["verify"] }]\n')
    _installed(monkeypatch, origin={"url": WHEEL, "archive_info": {}}, prefix=tmp_path, pip=False)
    assert install_command("acme") == f"`uv tool install 'kiteway[acme,verify] @ {WHEEL}'`"
