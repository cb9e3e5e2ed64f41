"""Just enough of the protobuf wire format to read and write Milvus's short messages."""

from collections.abc import Iterator

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def text_field(number: int, value: str) -> bytes:
    """One length-delimited field."""
    return bytes_field(number, value.encode())


def bytes_field(number: int, value: bytes) -> bytes:
    """One length-delimited field."""
    return _varint(number << 3 | _LENGTH) + _varint(len(value)) + value


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message in order, until its end or the first malformed field."""
    position = 0
    try:
        while position < len(message):
            tag, position = _read_varint(message, position)
            number, kind = tag >> 3, tag & 7
            if kind == _VARINT:
                value, position = _read_varint(message, position)
                yield number, value
                continue
            if kind == _LENGTH:
                size, position = _read_varint(message, position)
            elif kind in (_FIXED64, _FIXED32):
                size = 8 if kind == _FIXED64 else 4
            else:
                return
            if position + size > len(message):
                return
            yield number, message[position : position + size]
            position += size
    except IndexError:
        return


def first(message: bytes, number: int) -> int | bytes | None:
    """The first value of a field."""
    return next((value for found, value in fields(message) if found == number), None)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
    raise IndexError
