"""
The answers of Kiteway to calls that no pool can take.

A gRPC client gets PERMISSION_DENIED: of the codes that PyMilvus does not retry, it is the one whose text PyMilvus shows. It
reports a bare 404 as "sdk is incompatible with server", and retries UNAVAILABLE 75 times. For `Connect`, its first call,
PyMilvus shows the text of no gRPC error, so the filter answers with a Milvus status; also on a route to a pool without a healthy
endpoint (`kiteway.envoy.xds.pool_routes`). No answer has an internal address.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.struct_pb2 import Struct

from kiteway._proto.envoy.config.core.v3.base_pb2 import DataSource
from kiteway._proto.envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from kiteway._proto.envoy.config.route.v3.route_components_pb2 import DirectResponseAction, Route, RouteMatch
from kiteway.envoy.filter_config import RouteConfig
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.filters import turn_on

HOST = "{host}"
"""Is replaced by the host of the request in an `Answer`."""
PATH = "{path}"
"""Is replaced by its path."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The sentences of an answer: to a gRPC client, and to any other with its HTTP status."""

    grpc: str
    rest: str
    rest_status: int = 404


def no_route(
    name: str, match: RouteMatch, answer: Answer, settings: EnvoySettings, *, by_server_name: bool = False
) -> list[Route]:
    """
    Return the two routes (gRPC, everything else) that answer ``match`` with an explanation.

    With ``by_server_name`` a request whose host is an address goes to the host of its connection's server name, if any.
    """
    grpc_match = RouteMatch()
    grpc_match.CopyFrom(match)
    grpc_match.grpc.SetInParent()
    grpc = Route(name=f"{name}/grpc", match=grpc_match, direct_response=grpc_refusal(answer.grpc))
    turn_on(grpc, settings, RouteConfig(answer=f"kiteway: {answer.grpc}", by_server_name=by_server_name))
    rest = Route(name=f"{name}/rest", match=match, direct_response=_json(answer.rest_status, answer.rest))
    if by_server_name:
        turn_on(rest, settings, RouteConfig(by_server_name=True))
    return [grpc, rest]


def _format(text: str) -> str:
    """Return ``text`` with Envoy's command operators."""
    return f"kiteway: {text}".replace(HOST, "%REQ(:AUTHORITY)%").replace(PATH, "%PATH(NQ)%")


def grpc_refusal(text: str) -> DirectResponseAction:
    """Envoy turns a 403 for a gRPC request into grpc-status 7 (PERMISSION_DENIED) with the body as its message."""
    return DirectResponseAction(
        status=403,
        body_format=SubstitutionFormatString(text_format_source=DataSource(inline_string=_format(text))),
    )


def _json(status: int, text: str) -> DirectResponseAction:
    body = Struct()
    body.update({"code": status, "message": _format(text)})
    return DirectResponseAction(
        status=status, body_format=SubstitutionFormatString(json_format=body, content_type="application/json")
    )
