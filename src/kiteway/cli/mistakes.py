"""While `kiteway up -f` runs, prints one line for each load of changed manifests, and their errors."""

from __future__ import annotations

import asyncio

from kiteway.cli.output import print_problems, stderr
from kiteway.cli.terminal import line
from kiteway.instance import Instance
from kiteway.report.status import Errors
from kiteway.status.client import OtherVersionError, read_errors

_LOOK_SECONDS = 2.0


async def tell_errors(instance: Instance) -> None:
    """Ask for the errors every two seconds until cancelled, or until the instance has another version of Kiteway."""
    told: Errors | None = None
    while True:
        try:
            told = _tell(await asyncio.to_thread(read_errors, instance), told)
        except OtherVersionError as error:
            stderr.print(str(error))
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _tell(now: Errors | None, told: Errors | None) -> Errors | None:
    if now is None:
        return told  # the control plane did not answer
    before = told.errors if told else ()
    new = [each for each in now.errors if each not in before]
    print_problems(new, stderr)
    if before and not now.errors:
        stderr.print(line(("the manifests have no errors any more", "green")))
    elif told and new:
        stderr.print("the last good configuration stays in force")
    elif told and now.loads > told.loads:
        left = f"{len(now.errors)} errors as before" if now.errors else "no errors"
        stderr.print(f"loaded the changed manifests: {left}")
    return now
