"""Variants in the headers, and messages that PyMilvus would not make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message

from tools.filter_questions.variant import HEADERS, variant
from tools.filter_questions.wire import delimited, varint


def header_variants(message: Message) -> Iterator[dict[str, Any]]:
    """Yield the same message with other headers."""
    data = message.SerializeToString(deterministic=True)
    without = [header for header in HEADERS if header[0] != "authorization"]
    for name in (
        "client-request-unixmsec",
        "client-request-id",
        "client_request_id",
        "identifier",
        "log-level",
        "log_level",
        "user-agent",
        "grpc-timeout",
        "grpc-accept-encoding",
        "te",
        "traceparent",
        "tracestate",
        "baggage",
        "b3",
        "x-b3-traceid",
        "grpc-trace-bin",
        "x-request-id",
        "x-forwarded-for",
        "x-envoy-external-address",
        ":authority",
    ):
        rest = [header for header in HEADERS if header[0] != name]
        yield variant("same", f"has another {name}", data, [*rest, [name, "7"]])
    yield variant("same", "has the headers in another order", data, HEADERS[::-1])
    for what, headers in (
        ("is of another user", [*without, ["authorization", "YWxpY2U6eA=="]]),
        ("is of nobody", without),
        ("has an empty authorization", [*without, ["authorization", ""]]),
        ("has two authorizations", [*HEADERS, ["authorization", "YWxpY2U6eA=="]]),
        ("has them in another order", [["authorization", "YWxpY2U6eA=="], *HEADERS]),
        ("is of another database", [*HEADERS[:2], ["dbname", "default"]]),
        ("is of no database", HEADERS[:2]),
        ("has two databases", [*HEADERS, ["dbname", "default"]]),
        ("has a tenant", [*HEADERS, ["x-tenant", "a"]]),
        ("has another tenant", [*HEADERS, ["x-tenant", "b"]]),
        ("has a header that begins as one without meaning", [*HEADERS, ["identifier-2", "b"]]),
        ("has another content-type", [*HEADERS, ["content-type", "application/grpc+json"]]),
    ):
        yield variant("other", what, data, headers)
    yield variant("internal", "is of a component of Milvus", data, [*HEADERS, ["sourceid", "QEBtaWx2dXMtbWVtYmVyQEA="]])


def wire_variants(message: Message) -> Iterator[dict[str, Any]]:
    """Yield messages that PyMilvus would not make."""
    data = message.SerializeToString(deterministic=True)
    level, guarantee = 14 << 3, 11 << 3
    yield variant("same", "has a level twice", data + bytes([level, 3, level, 1]))
    yield variant("same", "has a level in more bytes than it needs", data + bytes([level, 0x82, 0]))
    yield variant("other", "has a guarantee of another wire type", data + bytes([guarantee | 1]) + b"\x01" * 8)
    yield variant("other", "has a level that is a text", data + bytes([level | 2, 1, 49]))
    yield variant("other", "has parameters that are a number", data + bytes([9 << 3, 1]))
    for what, unknown in (
        ("number", varint(999 << 3) + b"\x01"),
        ("other number", varint(999 << 3) + b"\x02"),
        ("text", varint(999 << 3 | 2) + b"\x01a"),
        ("number of eight bytes", varint(999 << 3 | 1) + b"\x01" * 8),
        ("number of four bytes", varint(999 << 3 | 5) + b"\x01" * 4),
    ):
        yield variant("other", f"has an unknown {what}", data + unknown)
    yield variant("unknown-level", "has a level of no name", data + bytes([level, 5]))
    yield variant("unknown-level", "has a level of 33 bits", data + bytes([level]) + varint(1 << 32 | 2))
    for what, broken in (
        ("half a field", data + bytes([level])),
        ("a group", data + bytes([99, 100])),
        ("a number of 65 bits", data + bytes([guarantee]) + b"\xff" * 9 + b"\x02"),
        ("field number 0", data + b"\x00\x00"),
        ("a field longer than the message", data + bytes([9 << 3 | 2, 5, 0])),
        ("a parameter that is not protobuf", data + bytes([9 << 3 | 2, 2, 10, 5])),
        ("a value of a template that is not protobuf", data + varint(18 << 3 | 2) + bytes([2, 10, 5])),
        ("a collection that is not UTF-8", data + bytes([3 << 3 | 2, 1, 0xFF])),
        ("a collection of 256 bytes", data + delimited(3, b"c" * 256)),
    ):
        yield variant("unreadable", f"has {what}", broken)
