"""
Unpack Debian packages under ``.tools/``, without root and without a change to the system.

apt finds, verifies and downloads the packages and those of their dependencies that the system lacks, with its own state
and cache; dpkg unpacks them into one folder; nothing is installed and no maintainer script runs.
``.tools/bin`` gets a wrapper for every program, which finds its libraries wherever the clone is moved.
``.tools/debian/packages.json`` records what is there: packages, versions, programs.

Usage: ``python tools/debian.py PACKAGE...``; prints the path of each program.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TOOLS = Path(__file__).resolve().parent.parent / ".tools"
BIN = TOOLS / "bin"
_HOME = TOOLS / "debian"
_ROOT = _HOME / "root"
_RECORD = _HOME / "packages.json"

# Beside the system's own settings (a proxy may be among them): every folder that apt writes to is ours, and its hooks,
# which clean the system's cache or tell the desktop, are off.
_APT_CONF = """\
Dir::State "{home}/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "{home}/cache";
Debug::NoLocking "true";
APT::Sandbox::User "{user}";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
"""

_WRAPPER = """\
#!/bin/sh
# Made by tools/debian.py: {program} of the Debian package {package}.
root=$(dirname "$(readlink -f "$0")")/../debian/root
LD_LIBRARY_PATH={libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}
export LD_LIBRARY_PATH
exec "$root/{program}" "$@"
"""


class DebianError(Exception):
    """The packages cannot be had on this machine; the message says why and what to do instead."""


def programs(*packages: str) -> dict[str, Path]:
    """
    Make sure that ``packages`` are unpacked, and return every program there is by name, dependencies included.

    Which package of a family holds the program is each release's own business (nginx-light may only point at nginx).

    Raises:
        DebianError: no apt here, or it cannot get the packages.
    """
    with _locked():
        record = _read_record()
        missing = [name for name in packages if not _complete(record, name)]
        if missing:
            _fetch(missing, record)
    return {Path(program).name: BIN / Path(program).name for each in record.values() for program in each["programs"]}


@contextmanager
def _locked() -> Iterator[None]:
    """Let one process at a time unpack; a second one waits and then finds everything there."""
    _HOME.mkdir(parents=True, exist_ok=True)
    with (_HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read_record() -> dict[str, Any]:
    if not _RECORD.exists():
        return {}
    record: dict[str, Any] = json.loads(_RECORD.read_text())
    return record


def _complete(record: dict[str, Any], package: str) -> bool:
    return package in record and all((_ROOT / program).exists() for program in record[package]["programs"])


def _fetch(packages: list[str], record: dict[str, Any]) -> None:
    for needed in ("apt-get", "dpkg-deb"):
        if shutil.which(needed) is None:
            raise DebianError(
                f"There is no {needed} on this machine. Install {', '.join(packages)} with its own package manager "
                "(or run this on Debian or Ubuntu)."
            )
    archives = _download(packages)
    for archive in archives:
        _run("dpkg-deb", "--extract", str(archive), str(_ROOT))
        version = _run("dpkg-deb", "--field", str(archive), "Version").strip()
        record[archive.name.split("_")[0]] = {"version": version, "programs": _programs_in(archive)}
    shutil.rmtree(_HOME / "apt")
    libraries = _library_folders()
    for package, entry in record.items():
        for program in entry["programs"]:
            _wrap(program, package, libraries)
    if missing := [name for name in packages if not _complete(record, name)]:
        raise DebianError(f"apt-get downloaded no package {', '.join(missing)}.")
    _RECORD.write_text(json.dumps(dict(sorted(record.items())), indent=1) + "\n")


def _download(packages: list[str]) -> list[Path]:
    """Fetch the lists, then the archives of ``packages`` and of what the system lacks for them."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (_HOME / "apt" / folder).mkdir(parents=True, exist_ok=True)
    user = "root" if os.getuid() == 0 else "_apt"  # _apt could not enter a clone below root's home
    (_HOME / "apt" / "apt.conf").write_text(_APT_CONF.format(home=_HOME / "apt", user=user))
    print(f"apt: fetching {', '.join(packages)} into {_ROOT}", file=sys.stderr, flush=True)
    update = _apt("update")  # a broken third-party source is no matter, as long as the packages are found
    install = _apt("install", "--download-only", "--reinstall", "--yes", *packages)
    if install.returncode != 0:
        raise DebianError(f"apt-get cannot get {', '.join(packages)}:\n{update.stderr}\n{install.stderr}".strip())
    return sorted((_HOME / "apt" / "cache" / "archives").glob("*.deb"))


def _apt(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["apt-get", "--quiet", f"--config-file={_HOME / 'apt' / 'apt.conf'}", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL
    )


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise DebianError(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout


def _programs_in(archive: Path) -> list[str]:
    """Return the programs of a package, e.g. ``usr/sbin/nginx``, in the order of their names."""
    listed = (line.split()[5] for line in _run("dpkg-deb", "--contents", str(archive)).splitlines() if line[0] in "-l")
    paths = (path.removeprefix("./") for path in listed)
    folders = ("bin", "sbin", "usr/bin", "usr/sbin")
    return sorted(path for path in paths if str(Path(path).parent) in folders)


def _library_folders() -> str:
    """Return the folders of shared libraries, as the wrappers write them; plugins' own folders are left out."""
    holding = {path.parent.relative_to(_ROOT) for path in _ROOT.glob("**/*.so*")}
    folders = sorted(str(folder) for folder in holding if folder.name == "lib" or "-linux-gnu" in folder.name)
    return ":".join(f'"$root/{folder}"' for folder in folders)


def _wrap(program: str, package: str, libraries: str) -> None:
    BIN.mkdir(parents=True, exist_ok=True)
    wrapper = BIN / Path(program).name
    wrapper.write_text(_WRAPPER.format(program=program, package=package, libraries=libraries))
    wrapper.chmod(0o755)


def main() -> None:
    """Unpack what the command line names."""
    packages = sys.argv[1:]
    if not packages or packages[0].startswith("-"):
        raise SystemExit(__doc__)
    try:
        found = programs(*packages)
    except DebianError as error:
        raise SystemExit(str(error)) from None
    for name, path in found.items():
        print(f"{name}\t{path}")


if __name__ == "__main__":
    main()
