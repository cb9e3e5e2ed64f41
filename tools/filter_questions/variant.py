"""What the variants of all kinds share."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message
from pymilvus.grpc_gen import common_pb2

Headers = list[list[str]]

# Names of fields, in all messages.
IGNORED = {"base", "guarantee_timestamp", "consistency_level", "use_default_consistency"}
SORTED = {"search_params", "query_params", "rank_params"}
MAPS = {"expr_template_values"}
# With the reason why the cache leaves a read with the field alone.
BYPASSED = {
    "ids": "ids",
    "search_by_primary_keys": "ids",
    "travel_timestamp": "time-travel",
    "function_chains": "function-chain",
}
# Of every request that has no others.
HEADERS: Headers = [
    ["authorization", "cm9vdDpNaWx2dXM="],
    ["content-type", "application/grpc"],
    ["dbname", "library"],
    ["client-request-unixmsec", "1764450000000"],
    ["user-agent", "grpc-python/1.76.0"],
]


def variant(outcome: str, what: str, message: Message | bytes, headers: Headers | None = None) -> dict[str, Any]:
    """Return a variant of a request; without `headers` it has the usual ones."""
    data = message if isinstance(message, bytes) else message.SerializeToString(deterministic=True)
    made = {"outcome": outcome, "what": what, "message": data.hex()}
    return made if headers is None else made | {"headers": headers}


def copy_of(message: Any) -> Any:
    """Return another message with the same fields."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def pair(key: str, value: str) -> common_pb2.KeyValuePair:
    """Return a parameter."""
    return common_pb2.KeyValuePair(key=key, value=value)
