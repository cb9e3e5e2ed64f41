"""What to do about objects that are in no file."""

from __future__ import annotations

from collections.abc import Iterable

from kiteway.cli.output import stderr
from kiteway.cli.terminal import line
from kiteway.diagnostics import Diagnostic
from kiteway.printable import suggested


def print_missing(diagnostics: Iterable[Diagnostic]) -> None:
    """Say that objects which are in no file may be in the cluster, with the command for those of the first namespace."""
    missing = dict.fromkeys(each.missing for each in diagnostics if each.missing is not None)
    namespace = next((ref.namespace for ref in missing), None)
    if namespace is None:
        return
    names = [f"{ref.kind.lower()}/{ref.name}" for ref in missing if ref.namespace == namespace]
    command = suggested("kubectl", "get", "-n", namespace, *names, "-o", "yaml")
    stderr.print(
        line(
            "note: an object that is not in the given files does not exist here. If your cluster has it, pipe the output of ",
            f"{command} into this command and add -f -",
        )
    )
