"""The command that installs an extra, for each way in which Kiteway can have been installed."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pytest

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
