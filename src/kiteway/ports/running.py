"""The instances that run on this machine, as far as this user can see them (proc_pid_fd(5)); none elsewhere than on Linux."""

from __future__ import annotations

import os

from kiteway.instance import Instance, InstanceError
from kiteway.ports.holders import locked_data_dirs


def running_instances() -> list[Instance]:
    """Return the instances of this user, ordered by their data directories."""
    return sorted(filter(_runs, map(Instance, locked_data_dirs())), key=lambda instance: instance.data_dir)


def _runs(instance: Instance) -> bool:
    try:
        return instance.lock_file.stat().st_uid == os.geteuid() and instance.running_pid() is not None
    except (OSError, InstanceError):
        return False
