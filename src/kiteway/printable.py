"""Makes text from tenants and servers safe for a terminal, a log and a shell."""

from __future__ import annotations

import re
import shlex

# Everything but ASCII, where str.isprintable decides, and ASCII's own control characters.
_SUSPECT = re.compile(r"[^\x20-\x7e]")
_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def printable(text: str) -> str:
    r"""
    Return ``text`` as one line that a terminal shows as it is, each other character escaped as in Python (``\x1b``).

    Escaped are control characters (line ends and terminal escapes among them), format characters (which turn the
    direction of writing or have no width), separators but the space, lone surrogates (bytes of a file name that are not
    text) and characters that Unicode has not assigned. Backslashes stay: this is for people, JSON is exact.
    """
    return _SUSPECT.sub(_shown, text)


def escaped_in_json(document: str) -> str:
    r"""Return a JSON document of the same value in which such characters are written ``\uXXXX``; its line ends stay."""
    return _SUSPECT.sub(_shown_in_json, document)


def suggested(*words: str) -> str:
    """Return a command to suggest, between backquotes, each word quoted for a POSIX shell."""
    return f"`{shlex.join(words)}`"


def _shown(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable():
        return character
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _shown_in_json(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable() or character == "\n":
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
