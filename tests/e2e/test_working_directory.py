"""No code in the working directory is run."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from kiteway.instance import Instance
from kiteway.supervisor import controlplane_child

pytestmark = pytest.mark.e2e

KITEWAY = Path(sys.executable).with_name("kiteway")
MANIFEST = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 19530}]}\n"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a module in the name of every one that there is; each leaves a file ``ran-NAME`` beside it."""
    folder = tmp_path_factory.mktemp("hostile")
    code = "import os\nopen(os.path.join(os.path.dirname(__file__), 'ran-' + __name__), 'w').close()\n"
    for name in {*sys.stdlib_module_names, *importlib.metadata.packages_distributions(), "kiteway", "sitecustomize"}:
        if name.isidentifier():
            (folder / f"{name}.py").write_text(code)
    return folder


def ran(hostile: Path) -> list[str]:
    """Return which of the modules were run."""
    return [path.name for path in hostile.glob("ran-*")]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("--help",),
        ("plan", "-f", "-"),
        ("doctor", "-f", "-"),
        ("status", "--data-dir", "none"),
        ("verify", "127.0.0.1:1", "--timeout", "1"),
        ("cert", "list", "--data-dir", "none"),
        ("gke", "plan", "--help"),
        ("demo", "--help"),
        ("up", "--to", "127.0.0.1:1", "--data-dir", "none/under/a/file"),
    ],
    ids=" ".join,
)
def test_commands_run_nothing_of_the_working_directory(hostile: Path, arguments: tuple[str, ...]) -> None:
    """No command imports a module from the directory in which it is started."""
    (hostile / "none").touch()
    subprocess.run(
        [KITEWAY, *arguments], cwd=hostile, input=MANIFEST.encode(), capture_output=True, check=False, timeout=60
    )
    assert ran(hostile) == []


def test_control_plane_runs_nothing_of_the_working_directory(hostile: Path, tmp_path: Path) -> None:
    """The control plane, which `kiteway up` starts in the user's working directory, imports nothing from there."""
    with Instance(tmp_path).acquire():
        child = controlplane_child(Instance(tmp_path), {"no": "configuration"})
        done = subprocess.run(
            child.argv, env=dict(child.env), cwd=hostile, capture_output=True, check=False, text=True, timeout=60
        )
    assert ran(hostile) == []
    assert "Object missing required field" in done.stderr  # it is Kiteway that has read its configuration
