"""A control plane that ends with an error each time it is started."""

from __future__ import annotations

import os
from pathlib import Path

# Python imports it at its start, before the control plane's own modules.
_FAILS = """
import os, sys
if "kiteway.controlplane" in sys.orig_argv:
    sys.stderr.write("Traceback (most recent call last):\\nRuntimeError: broken on purpose\\n")
    sys.stderr.flush()
    os._exit(1)
"""


def environment_of_failing_controlplane(folder: Path) -> dict[str, str]:
    """Return the environment of a `kiteway` whose control plane fails; a file for it is written to ``folder``."""
    (folder / "sitecustomize.py").write_text(_FAILS)
    return {**os.environ, "PYTHONPATH": str(folder)}
