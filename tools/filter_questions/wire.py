"""Protobuf's wire format, for messages that no library would make."""

from __future__ import annotations

from collections.abc import Iterator


def records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of each field of a message that PyMilvus made."""
    at = 0
    while at < len(data):
        start = at
        tag, at = _read_varint(data, at)
        match tag & 7:
            case 0:
                _, at = _read_varint(data, at)
            case 1:
                at += 8
            case 2:
                length, at = _read_varint(data, at)
                at += length
            case _:
                at += 4
        yield tag >> 3, data[start:at]


def joined(records: list[tuple[int, bytes]]) -> bytes:
    """Return the message of these fields."""
    return b"".join(data for _, data in records)


def delimited(number: int, data: bytes) -> bytes:
    """Return a field of the wire type 2."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    """Return a number as it is on the wire."""
    digits = []
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
