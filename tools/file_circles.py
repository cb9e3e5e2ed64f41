"""
A contract of import-linter: no files import each other, directly or by way of others.

Its own ``acyclic_siblings`` compares the members of each package, so it does not see a file that imports from the
``__init__`` of its own package.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, output


class FileCirclesContract(Contract):
    """Is broken by the first circle of files that is found."""

    type_name = "file_circles"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 - import-linter's own
        """Return the circle under ``circle``, as names of modules, each of which imports the next."""
        imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
        try:
            TopologicalSorter(imports).prepare()
        except CycleError as error:
            # The sorter lists each module before the one that imports it.
            return ContractCheck(kept=False, metadata={"circle": error.args[1][::-1]})
        return ContractCheck(kept=True)

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print the circle."""
        output.print_error("These files import each other:")
        output.print_error("  " + " -> ".join(check.metadata["circle"]))
