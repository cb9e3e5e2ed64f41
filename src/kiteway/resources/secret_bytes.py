"""Bytes whose ``repr`` hides their content."""

from __future__ import annotations


class SecretBytes(bytes):
    """Bytes of a Secret. They behave as bytes, but printing them shows only their number."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} bytes, redacted>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)
