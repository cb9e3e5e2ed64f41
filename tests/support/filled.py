"""Messages in which every field has a value, and fields that no proto knows, at every level."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

UNKNOWN = bytes.fromhex(
    "80f107"  # field 15888, a varint
    "ffffffffffffffffff01"
    "8af107"  # field 15889, bytes
    "05"
    "00ff807f01"
    "91f107"  # field 15890, 8 bytes
    "0102030405060708"
)
"""Three fields that no message of Milvus has; protobuf keeps them in the message."""

_DEPTH = 3
_STATUS = "milvus.proto.common.Status"
_SUCCESS = ("error_code", "code")
"""Stay 0: an answer that says an error is another case."""


def filled(descriptor: Descriptor, depth: int = _DEPTH, numbers: Iterator[int] | None = None) -> Message:
    """Return a message with a value in each field, different from the default and from the others where it can be."""
    numbers = numbers or itertools.count(1)
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if descriptor.full_name == _STATUS and field.name in _SUCCESS:
            continue
        _fill(message, field, depth, numbers)
    message.MergeFromString(UNKNOWN)
    return message


def _fill(message: Message, field: FieldDescriptor, depth: int, numbers: Iterator[int]) -> None:
    target: Any = message
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
        entry = getattr(target, field.name)
        if value.message_type is None:
            entry[_scalar(key, numbers)] = _scalar(value, numbers)
        elif depth:
            entry[_scalar(key, numbers)].CopyFrom(filled(value.message_type, depth - 1, numbers))
    elif field.message_type is not None:
        if depth:
            each = [filled(field.message_type, depth - 1, numbers) for _ in range(2 if field.is_repeated else 1)]
            if field.is_repeated:
                getattr(target, field.name).extend(each)
            else:
                getattr(target, field.name).CopyFrom(each[0])
    elif field.is_repeated:
        getattr(target, field.name).extend([_scalar(field, numbers), _scalar(field, numbers)])
    else:
        setattr(target, field.name, _scalar(field, numbers))


def _scalar(field: FieldDescriptor, numbers: Iterator[int]) -> Any:
    number = next(numbers)
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_BOOL:
            return True
        case FieldDescriptor.CPPTYPE_ENUM:
            assert field.enum_type is not None
            return field.enum_type.values[-1].number
        case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
            return number + 0.5
        case FieldDescriptor.CPPTYPE_STRING:
            text = f"{field.name}-{number}"
            return text.encode() + b"\x00\xff" if field.type == FieldDescriptor.TYPE_BYTES else text + "-é"
        case _:
            return number
