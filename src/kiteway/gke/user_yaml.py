"""
milvus.yaml in the chart's form: one text in ``extraConfigFiles.user.yaml``.

Settings are edited into the user's text; comments and order remain. A text that already has them is returned unchanged.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from kiteway.extras import install_command

Settings = Mapping[tuple[str, ...], Any]
"""Values by path, e.g. ``("common", "security", "tlsMode")``."""

TLS_MODE = ("common", "security", "tlsMode")
PROXY_PORT = ("proxy", "port")
HTTP_ENABLED = ("proxy", "http", "enabled")
HTTP_PORT = ("proxy", "http", "port")
SERVER_PEM = ("tls", "serverPemPath")
SERVER_KEY = ("tls", "serverKeyPath")
INTERNAL_DOMAIN = (("proxy", "internalDomain", "grpcPort"), ("proxy", "internalDomain", "httpPort"))


class UserYamlError(ValueError):
    """The text cannot be read; the message says why."""


def read(text: str) -> dict[str, Any]:
    """
    Return the text's settings; empty when it holds only comments.

    Raises:
        UserYamlError: it is no YAML mapping.
    """
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at its line {mark.line + 1}" if mark else ""
        raise UserYamlError(f"the text in extraConfigFiles.user.yaml is no YAML{where}.") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UserYamlError("the text in extraConfigFiles.user.yaml must be a mapping, as milvus.yaml is.")
    return found


def lookup(found: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Return a setting; None if it is not set. Milvus reads keys without regard to case, and so does this."""
    value: Any = found
    for step in path:
        if not isinstance(value, Mapping):
            return None
        value = next((value[key] for key in value if str(key).lower() == step.lower()), None)
    return value


def merge(text: str, settings: Settings) -> str:
    """
    Return the text with the settings in it and everything else unchanged.

    Raises:
        UserYamlError: it is no YAML mapping, or a setting's parent is no mapping.
    """
    found = read(text)
    missing = {path: value for path, value in settings.items() if lookup(found, path) != value}
    if not missing:
        return text
    editor = _editor()
    document = editor.load(text) if found else None
    if document is None:
        # Only comments: they remain, and the settings go below them.
        document = {}
        head = "".join(f"{line}\n" for line in text.splitlines() if line.lstrip().startswith("#") or not line.strip())
    else:
        head = ""
    for path, value in missing.items():
        node = document
        for step in path[:-1]:
            key = _key(node, step)
            child = node.get(key)
            if child is None:
                child = node[key] = {}
            if not isinstance(child, dict):
                raise UserYamlError(f"{'.'.join(path[:-1])} in extraConfigFiles.user.yaml must be a mapping.")
            node = child
        node[_key(node, path[-1])] = value
    return head + _dump(editor, document)


def revert(text: str, settings: Settings, original: str) -> str:
    """
    Restore the settings of the original text; later additions remain.

    Raises:
        UserYamlError: the text is no YAML mapping any more.
    """
    if text == merge(original, settings):
        return original
    found, before = read(text), read(original)
    if not found:
        return text
    editor = _editor()
    document = editor.load(text)
    for path, value in settings.items():
        if lookup(found, path) != value:
            continue  # a user has changed it since, so it remains
        old = lookup(before, path)
        chain = [document]
        for step in path[:-1]:
            chain.append(chain[-1][_key(chain[-1], step)])
        key = _key(chain[-1], path[-1])
        if old is not None:
            chain[-1][key] = old
            continue
        del chain[-1][key]
        for depth in range(len(path) - 2, -1, -1):
            if chain[depth + 1] or lookup(before, path[: depth + 1]) is not None:
                break
            del chain[depth][_key(chain[depth], path[depth])]
    return _dump(editor, document) if document else ""


def _key(node: Mapping[str, Any], name: str) -> str:
    return next((key for key in node if str(key).lower() == name.lower()), name)


def _editor() -> Any:
    try:
        from ruamel.yaml import YAML
    except ModuleNotFoundError:
        raise UserYamlError(f"the extra for GKE is not installed: {install_command('gke')}") from None

    editor = YAML(typ="rt")
    editor.preserve_quotes = True
    editor.width = 1 << 16
    editor.indent(mapping=2, sequence=4, offset=2)
    return editor


def _dump(editor: Any, document: Any) -> str:
    out = io.StringIO()
    editor.dump(document, out)
    return out.getvalue()
