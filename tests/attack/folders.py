"""What a tenant can put into its own folder, where folders are read with their subfolders."""

from __future__ import annotations

import os
from pathlib import Path

from tests.attack.attack import Attack, Seen, judge, measure_calls, measure_live
from tests.attack.tenant import ATTACKER
from tests.attack.world import world

_FILES = 30_000
_FOLDERS = 3_000


def _full() -> Seen:
    """Make many files and folders, a link to /, a link to itself, and names that are not UTF-8."""
    with world("-R") as found:
        seen = Seen()
        memory = found.memory()
        mine = found.tenants / ATTACKER
        mine.mkdir()
        changes = [found.change()]
        _fill(mine)
        changes += [found.change(), found.change()]
        reasons = {each["reason"] for each in found.status()["diagnostics"] if str(mine) in each["message"]}
        seen.refused = ", ".join(sorted(reasons))
        seen.check(holds="FilesTooMany" in reasons, otherwise="nothing says that the folder has too many files")
        measure_live(seen, found)
        seen.both = found.kill("envoy", "controlplane")
        changes.append(found.change())
        seen.change = max(changes)
        seen.memory = found.memory() - memory
        measure_calls(seen, found)
        judge(seen)
        return seen


def _fill(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.yaml")).touch()
    for name in (b"bad-\xff", b"bad-\xff/below"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).mkdir()
    (folder / "root").symlink_to("/")
    (folder / "self.yaml").symlink_to("self.yaml")
    for number in range(_FILES):
        (folder / f"{number}.yaml").touch()
    for number in range(_FOLDERS):
        (folder / f"folder-{number}").mkdir()


ATTACKS = (Attack("F", f"{_FILES:,} files, {_FOLDERS:,} folders and links in a tenant's folder", _full),)
