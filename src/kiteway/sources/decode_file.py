"""``python -m kiteway.sources.decode_file NAME NICE``: decodes standard input for `kiteway.sources.large_files`."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import sys
from pathlib import Path

from kiteway.resources import load_documents


def main() -> None:
    """Read, decode and write the result as a pickle."""
    name, nice = sys.argv[1:]
    os.nice(int(nice))
    with contextlib.suppress(OSError):
        # Where memory ends, this process shall end and no other one.
        Path("/proc/self/oom_score_adj").write_text("1000")
    # Nothing here is a cycle, and the process ends soon.
    gc.disable()
    pickle.dump(load_documents(sys.stdin.buffer.read(), name), sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)


if __name__ == "__main__":
    main()
