"""The full Milvus server in the PyPI package `milvus`, unpacked once for each user.

The wheel has the program and its libraries as `.lzma` files (56 MB). The package's own server class unpacks them into
every data directory. This module unpacks them once (246 MB) into the user's cache, which all instances share.
"""

from __future__ import annotations

import lzma
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from kiteway.extras import install_command
from kiteway.ownership import NotOursError, make_own

MILVUS_PACKAGE_VERSION = "2.3.5"
_COPY_BYTES = 1 << 20


class MilvusUnavailableError(RuntimeError):
    """This Milvus cannot run on this machine; the message says what to install or to use instead."""


@dataclass(frozen=True)
class MilvusBinary:
    """An unpacked Milvus: the program, its libraries and the wheel's configuration."""

    program: Path
    libraries: Path
    """A directory for `LD_LIBRARY_PATH`."""
    config_template: Path
    glog_config: Path


def find_milvus_binary(on_progress: Callable[[str], None] = lambda _line: None) -> MilvusBinary:
    """Return the Milvus of the installed package, unpacking it on first use (2-5 s).

    Several processes may do this at the same time: each unpacks into a separate directory, and the first one to finish
    renames its directory to the final name.

    Args:
        on_progress: called with one line if it has to be unpacked.

    Raises:
        MilvusUnavailableError: the package is not installed or is another version, or no cache directory is this user's.
        OSError: the cache directory cannot be written or the disk is full.
    """
    data = _package_data()
    target = _own_cache() / f"milvus-{MILVUS_PACKAGE_VERSION}"
    if not target.is_dir():
        on_progress(f"unpacking Milvus into {target} (246 MB, first use only; later runs use it again)")
        _unpack(data / "bin", target)
    return MilvusBinary(
        program=target / "milvus",
        libraries=target,
        config_template=data / "config.yaml.template",
        glog_config=data / "glog.conf",
    )


def _package_data() -> Path:
    try:
        package = metadata.distribution("milvus")
    except metadata.PackageNotFoundError:
        package = None
    if package is None or package.version != MILVUS_PACKAGE_VERSION:
        found = "is not installed" if package is None else f"is version {package.version}"
        raise MilvusUnavailableError(
            f"the package 'milvus' {found}; the embedded Milvus needs {MILVUS_PACKAGE_VERSION}, "
            f"which exists for Linux on x86-64 (glibc): {install_command('demo')} there, or `--milvus lite` elsewhere"
        )
    # Located by metadata: importing the package would create a server object.
    data = Path(str(package.locate_file("milvus/data")))
    if not (data / "bin" / "milvus.lzma").is_file():
        raise MilvusUnavailableError(
            f"the package 'milvus' at {data} has no server program: install its Linux "
            "x86-64 wheel again (pip install --force-reinstall --no-deps milvus=="
            f"{MILVUS_PACKAGE_VERSION})"
        )
    return data


def _own_cache() -> Path:
    """
    Return Kiteway's folder in the user's cache, or in the folder for temporary files if the former is another user's.

    After a run as root that kept HOME (``sudo -E``), the user's cache is root's.
    """
    first = _cache_home() / "kiteway"
    try:
        make_own(first)
    except (NotOursError, PermissionError) as error:
        second = Path(tempfile.gettempdir()) / f"kiteway-cache-{os.getuid()}"
        try:
            make_own(second)
        except NotOursError:
            raise MilvusUnavailableError(f"{error} Or name another cache in XDG_CACHE_HOME.") from error
        return second
    return first


def _cache_home() -> Path:
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG base directory specification says that a relative path must be ignored.
    return configured if configured.is_absolute() else Path.home() / ".cache"


def _unpack(packed: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        by_size = sorted(packed.glob("*.lzma"), key=lambda path: -path.stat().st_size)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda path: _unpack_file(path, scratch / path.stem), by_size))
        scratch.chmod(0o755)
        try:
            scratch.rename(target)
        except OSError:
            if not target.is_dir():  # otherwise another process was first; the content is the same
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _unpack_file(source: Path, target: Path) -> None:
    with lzma.open(source) as packed, target.open("wb") as plain:
        shutil.copyfileobj(packed, plain, _COPY_BYTES)
    target.chmod(0o755)
