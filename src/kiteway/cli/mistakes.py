"""While `kiteway up -f` runs, prints the manifests' errors when they appear, and when none is left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from kiteway.cli.output import print_problems, stderr
from kiteway.cli.terminal import line
from kiteway.instance import Instance
from kiteway.report.problem import Problem
from kiteway.status.client import OtherVersionError, read_errors

_LOOK_SECONDS = 2.0


async def tell_errors(instance: Instance) -> None:
    """Ask for the errors every two seconds until cancelled, or until the instance has another version of Kiteway."""
    told: Sequence[Problem] = ()
    while True:
        try:
            told = _tell(await asyncio.to_thread(read_errors, instance), told)
        except OtherVersionError as error:
            stderr.print(str(error))
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _tell(errors: Sequence[Problem] | None, told: Sequence[Problem]) -> Sequence[Problem]:
    if errors is None:
        return told  # the control plane did not answer
    print_problems((each for each in errors if each not in told), stderr)
    if told and not errors:
        stderr.print(line(("the manifests have no errors any more", "green")))
    return errors
