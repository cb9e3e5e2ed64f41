"""Says how to install an extra of the package beside the Kiteway that runs."""

from __future__ import annotations

import importlib.util
import json
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from kiteway.printable import suggested

_PACKAGE = "kiteway"
# `uv tool install` writes it into the environment of the tool.
_UV_RECEIPT = "uv-receipt.toml"


def install_command(extra: str) -> str:
    """
    Return the command, between backquotes, that adds ``extra`` to the environment that runs this program.

    It names the file or folder that Kiteway was installed from (PEP 610), so it also works when no index has Kiteway. An
    environment that ``uv tool install`` has made keeps its other extras.
    """
    receipt = Path(sys.prefix) / _UV_RECEIPT
    if receipt.is_file():
        return suggested("uv", "tool", "install", *_requirement({extra, *_tool_extras(receipt)}))
    return suggested(*_installer(), *_requirement({extra}))


def install_package_command(package: str) -> str:
    """Return the command, between backquotes, that adds a package which no extra has on this platform."""
    return suggested(*_installer(), package)


def _installer() -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-P", "-m", "pip", "install"]
    return ["uv", "pip", "install", "--python", sys.executable]


def _requirement(extras: set[str]) -> list[str]:
    wanted = f"[{','.join(sorted(extras))}]"
    origin = _origin()
    url = origin.get("url", "")
    if origin.get("dir_info", {}).get("editable"):
        return ["--editable", unquote(urlsplit(url).path) + wanted]
    return [f"{_PACKAGE}{wanted} @ {url}" if url else _PACKAGE + wanted]


def _origin() -> dict[str, Any]:
    """Return where the package came from; empty when it came from an index."""
    try:
        text = metadata.distribution(_PACKAGE).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return {}
    return dict(json.loads(text)) if text else {}


def _tool_extras(receipt: Path) -> list[str]:
    requirements = tomllib.loads(receipt.read_text()).get("tool", {}).get("requirements", [])
    return [extra for each in requirements if each.get("name") == _PACKAGE for extra in each.get("extras", [])]
