"""Tells, while `kiteway up -f` runs, which errors the manifests have, as they come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from kiteway.cli.output import print_reported, stderr
from kiteway.cli.terminal import line
from kiteway.instance import Instance
from kiteway.status.client import read_status

# A status costs the processor ten milliseconds.
_LOOK_SECONDS = 2.0


async def tell_errors(instance: Instance) -> None:
    """Look every two seconds until cancelled."""
    told: list[Mapping[str, Any]] = []
    while True:
        told = _tell(await asyncio.to_thread(read_status, instance), told)
        await asyncio.sleep(_LOOK_SECONDS)


def _tell(status: Mapping[str, Any], told: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if "diagnostics" not in status:
        return told  # no answer just now
    errors = [each for each in status["diagnostics"] if each["severity"] == "error"]
    print_reported((each for each in errors if each not in told), stderr)
    if told and not errors:
        stderr.print(line(("the manifests have no errors any more", "green")))
    return errors
