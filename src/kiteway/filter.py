"""Finds the Rust filter, the shared object that Envoy loads."""

from __future__ import annotations

import os
from pathlib import Path

#: Names another build of the filter, instead of the one installed with the package.
PATH_VARIABLE = "KITEWAY_FILTER_PATH"

_PACKAGED = Path(__file__).parent / "_filter" / "libkiteway_filter.so"


def filter_path() -> Path | None:
    """
    Return the absolute path of the filter, or None when there is none.

    ``KITEWAY_FILTER_PATH`` overrides the packaged file; if it names no file there is no filter,
    rather than silently another one.
    """
    path = _chosen()
    return path.resolve() if path.is_file() else None


def missing_reason() -> str:
    """Return why there is no filter, then ``; `` and what to do; empty when there is one."""
    if filter_path() is not None:
        return ""
    if os.environ.get(PATH_VARIABLE):
        return f"{PATH_VARIABLE} names {_chosen()}, which is not a file; correct it or unset it."
    return (
        "The package was installed without the Envoy filter: calls are neither counted by rpc nor retried "
        "when Milvus says inside an OK answer that it is not ready, and no MilvusPolicy limits them; install the wheel for "
        "manylinux in place of the pure one (pip install --force-reinstall), or install from the sources with cargo "
        "(Rust 1.82 or later) on PATH."
    )


def _chosen() -> Path:
    override = os.environ.get(PATH_VARIABLE)
    return Path(override) if override else _PACKAGED
