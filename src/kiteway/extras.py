"""Says how to install an extra of the package beside the Kiteway that runs."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from kiteway.printable import suggested

_PACKAGE = "kiteway"
# `uv tool install` writes it into the environment of the tool.
_UV_RECEIPT = "uv-receipt.toml"


def install_command(extra: str) -> str:
    """
    Return the command, between backquotes, that adds ``extra`` to the environment that runs this program.

    It names the file, folder or commit that Kiteway was installed from (PEP 610), so it also works when no index has Kiteway.
    An environment that ``uv tool install`` has made keeps its other extras. What installers wrote and cannot be read is
    ignored: then it is the plain name.
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
    if origin is None:
        return [_PACKAGE + wanted]
    if origin.dir_info is not None and origin.dir_info.editable:
        return ["--editable", unquote(urlsplit(origin.url).path) + wanted]
    return [f"{_PACKAGE}{wanted} @ {origin.address}"]


class _Directory(msgspec.Struct, frozen=True):
    editable: bool = False


class _Commit(msgspec.Struct, frozen=True):
    vcs: str
    commit_id: str


class _Origin(msgspec.Struct, frozen=True):
    """``direct_url.json`` of PEP 610, as far as it is used here."""

    url: str
    dir_info: _Directory | None = None
    vcs_info: _Commit | None = None
    subdirectory: str = ""

    @property
    def address(self) -> str:
        """The address as a requirement has it: PEP 610 keeps the parts of one in a version control system apart."""
        url = self.url
        if self.vcs_info is not None:
            url = f"{self.vcs_info.vcs}+{url}@{self.vcs_info.commit_id}"
        return f"{url}#subdirectory={self.subdirectory}" if self.subdirectory else url


def _origin() -> _Origin | None:
    """Return where the package came from; None when it came from an index."""
    try:
        text = metadata.distribution(_PACKAGE).read_text("direct_url.json")
        return msgspec.json.decode(text, type=_Origin) if text else None
    except (metadata.PackageNotFoundError, msgspec.DecodeError):
        return None


class _Requirement(msgspec.Struct, frozen=True):
    name: str
    extras: tuple[str, ...] = ()


class _Tool(msgspec.Struct, frozen=True):
    requirements: tuple[_Requirement, ...] = ()


class _Receipt(msgspec.Struct, frozen=True):
    tool: _Tool = _Tool()


def _tool_extras(receipt: Path) -> list[str]:
    try:
        read = msgspec.convert(tomllib.loads(receipt.read_text()), _Receipt)
    except (OSError, ValueError):
        return []
    return [extra for each in read.tool.requirements if each.name == _PACKAGE for extra in each.extras]
