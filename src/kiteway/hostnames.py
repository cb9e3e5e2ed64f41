"""Host names of other scripts than Latin."""

from __future__ import annotations


def in_ascii(name: str) -> str:
    """
    Return a name of another script, or with full-width letters or dots, as DNS has it (RFC 3490).

    Returns an empty text if the name is in ASCII already, or DNS has no such name.
    """
    if name.isascii():
        return ""
    try:
        return name.encode("idna").decode().rstrip(".").lower()
    except UnicodeError:
        return ""


def ascii_hint(name: str) -> str:
    """Return a clause with the name in ASCII, to follow the clause that refuses the name; empty if there is none."""
    found = in_ascii(name)
    return f'; in ASCII, as DNS has it, it is "{found}"' if found else ""
