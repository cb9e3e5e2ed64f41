"""Finds the running instance that a command is about, and asks it for its status."""

from __future__ import annotations

from pathlib import Path

from kiteway.cli.output import fail
from kiteway.instance import Instance, InstanceError, default_data_dir
from kiteway.ports.running import running_instances
from kiteway.report.status import Status
from kiteway.status.client import OtherVersionError, read_status


def running_instance(data_dir: Path | None) -> Instance:
    """
    Return the instance on ``data_dir``, by default on the default directory.

    Raises:
        typer.Exit: none runs there. The message on standard error names the running instances of this user: a script that
            asks for its own instance must not get the answer of another one.
    """
    instance = Instance(data_dir or default_data_dir())
    try:
        if instance.running_pid() is not None:
            return instance
    except InstanceError as error:
        raise fail(str(error)) from error
    others = running_instances()
    if not others:
        raise fail(
            f"no instance runs on {instance.data_dir}, nor one of this user elsewhere; start one with `kiteway up`"
        )
    choices = ", ".join(f"--data-dir {other.data_dir}" for other in others)
    raise fail(f"no instance runs on {instance.data_dir}; running instances: {choices}")


def status_of(instance: Instance) -> Status:
    """Return the status; end the command with a message when the instance has another version of Kiteway."""
    try:
        return read_status(instance)
    except OtherVersionError as error:
        raise fail(str(error)) from error
