"""While `kiteway up -f` runs, prints the manifests' errors when they appear, and when none is left."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from kiteway.cli.output import print_reported, stderr
from kiteway.cli.terminal import line
from kiteway.instance import Instance
from kiteway.status.client import read_errors

_LOOK_SECONDS = 2.0


async def tell_errors(instance: Instance) -> None:
    """Read the status every two seconds until cancelled."""
    told: Sequence[Mapping[str, Any]] = ()
    while True:
        told = _tell(await asyncio.to_thread(read_errors, instance), told)
        await asyncio.sleep(_LOOK_SECONDS)


def _tell(errors: Sequence[Mapping[str, Any]] | None, told: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    if errors is None:
        return told  # no answer at this moment
    print_reported((each for each in errors if each not in told), stderr)
    if told and not errors:
        stderr.print(line(("the manifests have no errors any more", "green")))
    return errors
