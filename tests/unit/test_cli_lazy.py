"""The help of `kiteway` comes without the commands' imports."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.main import get_command

from kiteway.cli import app
from kiteway.cli.lazy import SUMMARIES


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_summary_is_the_first_sentence_of_the_commands_own_help(name: str) -> None:
    """The list and the command cannot say different things."""
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    assert " ".join(command.help.partition("\n\n")[0].split()) == SUMMARIES[name]


def test_every_command_is_in_the_list() -> None:
    """A command without a summary would be missing from the help."""
    assert list(get_command(app).commands) == list(SUMMARIES)  # type: ignore[attr-defined]


def test_the_help_imports_no_command() -> None:
    """It imports neither Envoy's messages nor gRPC, X.509 or Kubernetes, which take most of a second together."""
    code = (
        "import sys\nfrom kiteway.cli import app\ntry:\n    app(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('google.protobuf', 'grpc', 'cryptography', 'httpx2', 'kiteway.resources') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "Run the balancer on this machine until Ctrl-C." in done.stdout
    assert done.stdout.endswith("[]\n")


def test_the_end_collects_no_garbage() -> None:
    """Python's last collections would look at every object: they find none."""
    code = (
        "import atexit, gc\natexit.register(lambda: print(len(gc.get_objects()) < gc.get_freeze_count()))\n"
        "import sys\nfrom kiteway.cli import main\nsys.argv = ['kiteway', '--version']\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "True"
