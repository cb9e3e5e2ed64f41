"""While `kiteway up` runs, prints one line for each load of changed manifests, their errors and their new warnings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

import msgspec

from kiteway.cli.output import print_problems, stderr
from kiteway.cli.terminal import line
from kiteway.instance import Instance
from kiteway.report.problem import Problem
from kiteway.report.status import Errors
from kiteway.status.client import OtherVersionError, read_errors

_LOOK_SECONDS = 2.0


async def tell_errors(instance: Instance, *, warnings: bool) -> None:
    """
    Ask for the errors every two seconds until cancelled, or until the instance has another version of Kiteway.

    Args:
        instance: the instance of the manifests.
        warnings: whether those of the start are printed too; those of a later load always are.
    """
    told: Errors | None = None
    while True:
        try:
            told = tell(await asyncio.to_thread(read_errors, instance), told, warnings=warnings)
        except OtherVersionError as error:
            stderr.print(str(error))
            return
        await asyncio.sleep(_LOOK_SECONDS)


def tell(now: Errors | None, told: Errors | None, *, warnings: bool = False) -> Errors | None:
    """
    Print what is new in ``now``, and which older form is served for it; return what has been told.

    Args:
        now: the errors; None if the control plane did not answer.
        told: the last that were told; None at the start.
        warnings: whether the warnings of the start are printed; those of a later load always are.
    """
    if now is None:
        return told
    before = told.errors if told else ()
    new = [each for each in now.errors if each not in before]
    added = _new_warnings(now, told) if told or warnings else []
    print_problems((*new, *added), stderr)
    if before and not now.errors:
        stderr.print(line(("the manifests have no errors any more", "green")))
    elif told and new:
        for each in (*_retained(now, told), *_kept_files(new)):
            stderr.print(each, markup=False)
    elif told and now.loads > told.loads:
        left = f"{len(now.errors)} error{'s'[: len(now.errors) != 1]} as before" if now.errors else "no errors"
        but = f", {len(added)} new {'warning' if len(added) == 1 else 'warnings'}" if added else ""
        stderr.print(f"loaded the changed manifests: {left}{but}")
    return now


def _new_warnings(now: Errors, told: Errors | None) -> list[Problem]:
    """Return the warnings that were not there before; one whose line has moved was."""
    before = {_without_place(each) for each in told.warnings} if told else set()
    return [each for each in now.warnings if _without_place(each) not in before]


def _without_place(problem: Problem) -> Problem:
    return msgspec.structs.replace(problem, position=None)


def _retained(now: Errors, told: Errors) -> Iterator[str]:
    for ref in now.retained:
        if ref not in told.retained:
            yield f"the last good form of {ref} stays in force"


def _kept_files(new: Iterable[Problem]) -> Iterator[str]:
    """Yield a line for each file of which a document cannot be read, as `kiteway.sources.files` keeps its objects."""
    files = dict.fromkeys(each.position.file for each in new if each.object is None and each.position is not None)
    for file in files:
        yield f"the objects that {file} had before stay in force until it can be read"
