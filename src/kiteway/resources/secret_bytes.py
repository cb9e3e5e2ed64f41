"""Bytes that do not show themselves."""

from __future__ import annotations


class SecretBytes(bytes):
    """Bytes of a Secret. They are what they are, but printing them shows their number only."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} bytes, redacted>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)
