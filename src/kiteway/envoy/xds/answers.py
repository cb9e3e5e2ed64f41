"""
What Kiteway itself answers when there is nowhere to send a call.

A gRPC client gets PERMISSION_DENIED: of the codes PyMilvus does not retry it is the one whose text it shows. A bare
404 would become "sdk is incompatible with server", UNAVAILABLE 75 retries. No internal address is ever named.
"""

from __future__ import annotations

from google.protobuf.struct_pb2 import Struct

from kiteway._proto.envoy.config.core.v3.base_pb2 import DataSource
from kiteway._proto.envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from kiteway._proto.envoy.config.route.v3.route_components_pb2 import DirectResponseAction, Route, RouteMatch

HOST = "%REQ(:AUTHORITY)%"


def no_route(name: str, match: RouteMatch, grpc_text: str, rest_text: str, rest_status: int = 404) -> list[Route]:
    """Return the two routes (gRPC, everything else) that answer ``match`` with an explanation."""
    grpc_match = RouteMatch()
    grpc_match.CopyFrom(match)
    grpc_match.grpc.SetInParent()
    return [
        Route(name=f"{name}/grpc", match=grpc_match, direct_response=_grpc(grpc_text)),
        Route(name=f"{name}/rest", match=match, direct_response=_json(rest_status, rest_text)),
    ]


def _grpc(text: str) -> DirectResponseAction:
    """Envoy turns a 403 for a gRPC request into grpc-status 7 (PERMISSION_DENIED) with the body as its message."""
    return DirectResponseAction(
        status=403,
        body_format=SubstitutionFormatString(text_format_source=DataSource(inline_string=f"kiteway: {text}")),
    )


def _json(status: int, text: str) -> DirectResponseAction:
    body = Struct()
    body.update({"code": status, "message": f"kiteway: {text}"})
    return DirectResponseAction(
        status=status, body_format=SubstitutionFormatString(json_format=body, content_type="application/json")
    )
