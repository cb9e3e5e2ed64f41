"""Why files and folders hold nothing that Kiteway reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from kiteway.diagnostics import Diagnostic, Severity
from kiteway.resources import Loaded
from kiteway.sources.folders import SUFFIXES, is_file, is_folder, listed, shown

_MOST_PATHS = 5


def why_nothing(
    paths: Sequence[Path], loaded: Iterable[Loaded], diagnostics: Sequence[Diagnostic]
) -> Diagnostic | None:
    """
    Return an error that says what was found in place of objects; None if another error says why there are none.

    Args:
        paths: the files and folders.
        loaded: the content of the files among them that were read.
        diagnostics: what is wrong with them.
    """
    if not paths or any(d.severity is Severity.ERROR for d in diagnostics):
        return None
    where = ", ".join(map(str, paths[:_MOST_PATHS]))
    kinds = list(dict.fromkeys(kind for each in loaded for kind in each.ignored))
    if kinds:
        found = f"only {listed(kinds)}"
        fix = "Give Ingresses and Services, with what they name (BackendConfig, FrontendConfig, Secret, EndpointSlice)."
    else:
        found, fix = _in_folders([path for path in paths if is_folder(path)])
    message = f"{where}: nothing that Kiteway reads was found, {found}; nothing is served."
    return Diagnostic(Severity.ERROR, "NothingRead", message, fix)


def _in_folders(folders: Sequence[Path]) -> tuple[str, str]:
    """Return what lies in folders without a manifest, and what to do."""
    entries = [entry for folder in folders for entry in _entries(folder)]
    below = [entry for entry in entries if is_folder(entry) and any(e.suffix in SUFFIXES for e in _entries(entry))]
    if any(entry.name == "Chart.yaml" for entry in entries) or any(entry.name == "templates" for entry in below):
        return "only a Helm chart", "Render it: helm template RELEASE CHART | kiteway plan -f -."
    if below:
        return (
            f"only subfolders with files: {listed([shown(each.name) for each in below])}",
            f"Give -R to read them too, or name one: -f {shown(str(below[0]))}.",
        )
    others = [shown(entry.name) for entry in entries if is_file(entry) and entry.suffix not in SUFFIXES]
    if others:
        return (
            f"only files of other names: {listed(others)}",
            f"The names of manifests in a folder end in {' or '.join(SUFFIXES)}; or name a file itself with -f.",
        )
    return "no object at all", "Check the path given with -f; for a pipe, the command before it."


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
