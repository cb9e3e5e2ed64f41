"""Ingresses that Envoy rejects although no rule of Kiteway covers them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

ANNOTATION = "test.example.com/poison"
"""On an Ingress, whatever its value: its route table is one that Envoy rejects, where `unforeseen` has been entered."""
SENTENCE = "NO_SUCH_COMMAND"
"""What Envoy's words about it contain."""

_FOLDER = Path(__file__).with_name("unforeseen")


@contextlib.contextmanager
def unforeseen() -> Iterator[None]:
    """Let every Kiteway that is started as a process in this block obey `ANNOTATION`."""
    paths = [str(_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(paths)):
        yield
