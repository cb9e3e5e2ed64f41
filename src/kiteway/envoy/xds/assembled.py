"""Large messages, joined from the bytes of their parts: a change of one host of a thousand costs one host."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import Message

from kiteway.envoy.ads.snapshot import Piece, Resource

_LENGTH_DELIMITED = 2
_MORE = 0x80


@dataclass(frozen=True, slots=True)
class RepeatedField:
    """A repeated field of messages."""

    name: str
    number: int

    @classmethod
    def of(cls, message: type[Message], name: str) -> RepeatedField:
        """Look up the field ``name`` of a message class."""
        return cls(name, message.DESCRIPTOR.fields_by_name[name].number)


@dataclass(frozen=True, slots=True, eq=False)
class Assembled:
    """
    A message that consists mostly of one repeated field.

    A serialised message is its fields' bytes in the order of their numbers, and a member of a repeated field is a tag, a
    length and the member's own bytes. So the whole is the bytes of its members, which are cached, between those of the
    fields before and after.

    Attributes:
        rest: the message without the members.
        field: the repeated field.
        members: in their order.
        pieces: their bytes, by `piece`.
    """

    rest: Message
    field: RepeatedField
    members: tuple[Message, ...]
    pieces: tuple[Piece, ...]

    def message(self) -> Message:
        """Return the message itself."""
        whole = type(self.rest)()
        whole.CopyFrom(self.rest)
        getattr(whole, self.field.name).extend(self.members)
        return whole

    def resource(self) -> Resource:
        """Serialise it; the same bytes as those of `message`."""
        before, after = type(self.rest)(), type(self.rest)()
        before.CopyFrom(self.rest)
        after.CopyFrom(self.rest)
        for field, _ in self.rest.ListFields():
            (after if field.number < self.field.number else before).ClearField(field.name)
        name: str = self.rest.name  # type: ignore[attr-defined]
        return Resource.assembled(name, (Piece.of(_bytes(before)), *self.pieces, Piece.of(_bytes(after))))


def piece(member: Message, field: RepeatedField) -> Piece:
    """Return the bytes of one member of a repeated field."""
    body = _bytes(member)
    return Piece.of(_varint(field.number << 3 | _LENGTH_DELIMITED) + _varint(len(body)) + body)


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= _MORE:
        out.append(value & (_MORE - 1) | _MORE)
        value >>= 7
    out.append(value)
    return bytes(out)
