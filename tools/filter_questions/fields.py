"""Variants in which one field is changed: each field of each message, by PyMilvus's descriptors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from pymilvus.grpc_gen import milvus_pb2

from tools.filter_questions.variant import BYPASSED, IGNORED, copy_of, variant


def mutated(root: Message, descriptor: Descriptor, path: list[str]) -> Iterator[dict[str, Any]]:
    """Yield `root` with each field of the message at `path` changed, and each field of the messages in it."""
    for field in descriptor.fields:
        here = [*path, field.name]
        inner = field.message_type
        is_set = inner is not None and _is_set(_at(root, path), field)
        if field.is_repeated or not is_set:
            copy = copy_of(root)
            _change(_at(copy, path), field)
            yield variant(_outcome(root, here), f"changes {'.'.join(here)}", copy)
        if inner is not None and is_set and not inner.GetOptions().map_entry and len(here) < 4:
            yield from mutated(root, inner, here)


def _outcome(root: Message, path: list[str]) -> str:
    if path[-1] in IGNORED:
        return "same"
    if reason := BYPASSED.get(path[-1]):
        return reason
    is_hybrid = root.DESCRIPTOR is milvus_pb2.HybridSearchRequest.DESCRIPTOR
    if path in (["requests", "db_name"], ["requests", "collection_name"]) or (
        is_hybrid and path == ["collection_name"]
    ):
        return "other-collection"
    if path[-1] == "function_score" or path[-2:] == ["function_score", "functions"]:
        return "reranker"  # the new function has no name
    return "other"


def _at(message: Any, path: list[str]) -> Any:
    for name in path:
        value = getattr(message, name)
        message = value[0] if message.DESCRIPTOR.fields_by_name[name].is_repeated else value
    return message


def _is_set(message: Message, field: FieldDescriptor) -> bool:
    return len(getattr(message, field.name)) > 0 if field.is_repeated else message.HasField(field.name)


def _change(message: Any, field: FieldDescriptor) -> None:
    value = getattr(message, field.name)
    inner = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        value["new"].SetInParent()
    elif inner is not None:
        changed = value.add() if field.is_repeated else value
        changed.SetInParent()
        if not field.is_repeated:
            _change(changed, inner.fields[0])
    elif field.is_repeated:
        value.append(_next(field, None))
    else:
        setattr(message, field.name, _next(field, value))


def _next(field: FieldDescriptor, value: Any) -> Any:
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            return (value or "") + "x"
        case FieldDescriptor.TYPE_BYTES:
            return (value or b"") + b"x"
        case FieldDescriptor.TYPE_BOOL:
            return not value
        case FieldDescriptor.TYPE_ENUM:
            numbers = [each.number for each in field.enum_type.values]  # type: ignore[union-attr]
            return numbers[(numbers.index(value or 0) + 1) % len(numbers)]
        case _:
            return (value or 0) + 1
