"""
The answers of Envoy itself: a sentence, and a status chosen for how PyMilvus reacts to it.

PyMilvus retries a call on every gRPC status but DEADLINE_EXCEEDED, PERMISSION_DENIED, UNAUTHENTICATED,
INVALID_ARGUMENT, ALREADY_EXISTS, RESOURCE_EXHAUSTED and UNIMPLEMENTED, up to 75 times; on UNAVAILABLE its MilvusClient
(3.0) first reconnects, which ends the other calls on the connection. So Kiteway uses UNAVAILABLE only where a
Milvus that is down would give it too, and only for calls that are safe to repeat. Endpoint addresses are shown in
`kiteway status` and the logs only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf.wrappers_pb2 import UInt32Value

from kiteway._proto.envoy.config.accesslog.v3.accesslog_pb2 import (
    AccessLogFilter,
    AndFilter,
    ComparisonFilter,
    HeaderFilter,
    OrFilter,
    StatusCodeFilter,
)
from kiteway._proto.envoy.config.accesslog.v3.accesslog_pb2 import ResponseFlagFilter as FlagFilter
from kiteway._proto.envoy.config.core.v3.base_pb2 import DataSource, HeaderValue, HeaderValueOption, RuntimeUInt32
from kiteway._proto.envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from kiteway._proto.envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from kiteway._proto.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    LocalReplyConfig,
    ResponseMapper,
)
from kiteway._proto.envoy.type.matcher.v3.string_pb2 import StringMatcher
from kiteway.envoy.xds.common import regex
from kiteway.envoy.xds.policy import CallPolicy, grpc_policies, repeatable_paths, rest_policies

_INVALID_ARGUMENT = 3
_DEADLINE_EXCEEDED = 4
_PERMISSION_DENIED = 7
_RESOURCE_EXHAUSTED = 8
_UNIMPLEMENTED = 12
_UNAVAILABLE = 14

HEADERS_KIB = 32
"""The most that all headers of a request may have, in KiB."""
MAX_HEADERS = 100
HEADERS_TIMEOUT = 10.0
"""Seconds within which the headers of a request have to arrive."""


@dataclass(frozen=True, slots=True)
class LocalReply:
    """
    One answer.

    Attributes:
        flags: Envoy's response flags, any of which selects it.
        grpc: the gRPC status.
        http: the HTTP status of REST calls.
        text: the sentence.
        once: whether it is only for calls that must not be sent twice.
        statuses: Envoy's HTTP statuses that select it too, where Envoy sets no flag.
    """

    flags: tuple[str, ...]
    grpc: int
    http: int
    text: str
    once: bool = False
    statuses: tuple[int, ...] = ()


NO_HEALTHY_ENDPOINT = (
    "the Service has no healthy endpoint; nothing was sent. `kiteway status` shows each endpoint and why."
)
_BROKEN = ("UC", "UR", "LR", "UPE")

LOCAL_REPLIES = (
    LocalReply(
        _BROKEN,
        _DEADLINE_EXCEEDED,
        504,
        "the connection to Milvus broke while this call was under way; it may have been done or not. "
        "Look before you send it again.",
        once=True,
    ),
    LocalReply(
        _BROKEN,
        _UNAVAILABLE,
        502,
        "the connection to Milvus broke on every endpoint that was tried. Try again; if it is always so, Milvus may speak TLS "
        "and the Service say plaintext.",
    ),
    # The end of max_stream_duration and of grpc-timeout has no flag; 408 while the request is still on its way.
    LocalReply(
        ("UT", "UMSDR", "SI"),
        _DEADLINE_EXCEEDED,
        504,
        "Milvus did not answer in time. The limit is the client's deadline, timeoutSec of the BackendConfig, or the one "
        "of this kind of call, whichever is shortest.",
        statuses=(504, 408),
    ),
    LocalReply(
        ("UF",),
        _UNAVAILABLE,
        503,
        "no connection to an endpoint of the Service was made: none accepts one, or the Service and Milvus do not agree about "
        "TLS; nothing was sent. `kiteway status` shows each endpoint.",
    ),
    LocalReply(
        ("UH",),
        _UNAVAILABLE,
        503,
        NO_HEALTHY_ENDPOINT,
    ),
    LocalReply(
        ("NC",), _UNAVAILABLE, 503, "the configuration for this host is being loaded; nothing was sent. Try again."
    ),
    LocalReply(
        ("UO",),
        _RESOURCE_EXHAUSTED,
        429,
        "too many calls to this Service at a time; nothing was sent. Send fewer at once.",
    ),
    LocalReply(
        ("OM",), _RESOURCE_EXHAUSTED, 503, "the load balancer is short of memory; nothing was sent. Send fewer at once."
    ),
)
"""The first that matches is used: a call with several attempts has the flags of all of them."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    One answer to a request that Envoy itself refuses, whose headers may be missing or incomplete.

    Attributes:
        http: Envoy's HTTP status, which stays; PyMilvus would repeat the gRPC statuses that Envoy makes of most.
        grpc: the gRPC status.
        text: the sentence.
        pathless: whether it is only for requests without a path that a route could have; routes answer with this status, too.
    """

    http: int
    grpc: int
    text: str
    pathless: bool = False


REFUSALS = (
    Refusal(
        400,
        _INVALID_ARGUMENT,
        "the request is not valid HTTP: its first line, its path, its Host or another header is missing or malformed. Correct "
        "it; no SDK of Milvus sends such a request.",
    ),
    Refusal(
        404,
        _UNIMPLEMENTED,
        "a request without a path (CONNECT, OPTIONS *) leads nowhere. Name the path of a call.",
        pathless=True,
    ),
    Refusal(
        408,
        _DEADLINE_EXCEEDED,
        f"the headers of the request did not arrive within {HEADERS_TIMEOUT:.0f} s. Send them at once.",
    ),
    Refusal(426, _UNIMPLEMENTED, "HTTP/1.0 is not served. Use HTTP/1.1 or HTTP/2."),
    Refusal(
        431,
        _RESOURCE_EXHAUSTED,
        f"the headers of the request have more than {HEADERS_KIB} KiB, or are more than {MAX_HEADERS}. Send fewer.",
    ),
    Refusal(
        501,
        _UNIMPLEMENTED,
        "the Transfer-Encoding of the request is not supported. Send it chunked, or with a Content-Length.",
        pathless=True,
    ),
)
"""
No route answers with one of these statuses to a request without a path, or to any. Over HTTP/2 most such requests end with a reset
stream, which has no text.
"""


def local_replies() -> LocalReplyConfig:
    """Return the answers as Envoy's configuration; all other answers of Envoy stay unchanged."""
    # All gRPC answers before those for REST: the filters of the latter match gRPC calls as well.
    for_grpc = [*map(_grpc, LOCAL_REPLIES), _grpc_upgrade_refused(), *map(_grpc_refused, REFUSALS)]
    for_rest = [*map(_rest, LOCAL_REPLIES), _upgrade_refused(), *map(_refused, REFUSALS)]
    return LocalReplyConfig(mappers=[*for_grpc, *for_rest])


def _grpc_upgrade_refused() -> ResponseMapper:
    """Return the answer to a gRPC call with a request for an upgrade: Envoy's own has no text."""
    causes = (_status(403), _header(_UPGRADE), _header(_GRPC))
    return _with_status(
        _all(*causes), _PERMISSION_DENIED, "a gRPC call cannot be upgraded; leave out the Upgrade header."
    )


def _upgrade_refused() -> ResponseMapper:
    """Return the answer to a request for an upgrade that is not WebSocket: Envoy's own is a 403 without a body."""
    causes = (_status(403), _header(_UPGRADE), _header(_NOT_GRPC))
    return _with_json(
        _all(*causes), 403, "the connection can be upgraded to WebSocket alone; leave out the Upgrade header."
    )


def _grpc_refused(refusal: Refusal) -> ResponseMapper:
    return _with_status(_all(*_causes(refusal), _header(_GRPC)), refusal.grpc, refusal.text)


def _refused(refusal: Refusal) -> ResponseMapper:
    return _with_json(_all(*_causes(refusal), _header(_NOT_GRPC)), refusal.http, refusal.text)


def _causes(refusal: Refusal) -> list[AccessLogFilter]:
    return [_status(refusal.http), *([_header(_PATHLESS)] if refusal.pathless else [])]


def _grpc(reply: LocalReply) -> ResponseMapper:
    return _with_status(_all(_cause(reply), _header(_GRPC), *_only(reply, grpc_policies())), reply.grpc, reply.text)


def _with_status(cause: AccessLogFilter, status: int, sentence: str) -> ResponseMapper:
    return ResponseMapper(
        filter=cause,
        body=DataSource(inline_string=f"kiteway: {sentence}"),
        headers_to_add=[
            HeaderValueOption(
                header=HeaderValue(key="grpc-status", value=str(status)),
                append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
            )
        ],
    )


def _rest(reply: LocalReply) -> ResponseMapper:
    return _with_json(_all(_cause(reply), _header(_COMPLETE), *_only(reply, rest_policies())), reply.http, reply.text)


def _with_json(cause: AccessLogFilter, status: int, sentence: str) -> ResponseMapper:
    body = json.dumps({"code": status, "message": f"kiteway: {sentence}"}, separators=(",", ":"))
    # As text: each listener has these answers, and Envoy parses a JSON format more slowly.
    text = DataSource(inline_string=body.replace("%", "%%") + "\n")
    return ResponseMapper(
        filter=cause,
        status_code=UInt32Value(value=status),
        body_format_override=SubstitutionFormatString(text_format_source=text, content_type="application/json"),
    )


_GRPC = HeaderMatcher(name="content-type", string_match=StringMatcher(prefix="application/grpc"))
_NOT_GRPC = HeaderMatcher(
    name=_GRPC.name, string_match=_GRPC.string_match, invert_match=True, treat_missing_header_as_empty=True
)
_UPGRADE = HeaderMatcher(name="upgrade", present_match=True)
_PATHLESS = HeaderMatcher(
    name=":path", string_match=StringMatcher(prefix="/"), invert_match=True, treat_missing_header_as_empty=True
)
_COMPLETE = HeaderMatcher(name=":path", present_match=True)
"""A request whose headers are complete; Envoy's own 408 for an incomplete one is among `REFUSALS`."""


def _only(reply: LocalReply, policies: Iterable[CallPolicy]) -> list[AccessLogFilter]:
    if not reply.once:
        return []
    paths = StringMatcher(safe_regex=regex(repeatable_paths(policies)))
    return [_header(HeaderMatcher(name=":path", string_match=paths, invert_match=True))]


def _cause(reply: LocalReply) -> AccessLogFilter:
    flags = AccessLogFilter(response_flag_filter=FlagFilter(flags=reply.flags))
    if not reply.statuses:
        return flags
    return AccessLogFilter(or_filter=OrFilter(filters=[flags, *map(_status, reply.statuses)]))


def _status(status: int) -> AccessLogFilter:
    value = RuntimeUInt32(default_value=status, runtime_key=f"kiteway.local_reply.{status}")
    return AccessLogFilter(
        status_code_filter=StatusCodeFilter(comparison=ComparisonFilter(op=ComparisonFilter.EQ, value=value))
    )


def _header(matcher: HeaderMatcher) -> AccessLogFilter:
    return AccessLogFilter(header_filter=HeaderFilter(header=matcher))


def _all(*filters: AccessLogFilter) -> AccessLogFilter:
    return AccessLogFilter(and_filter=AndFilter(filters=filters))
