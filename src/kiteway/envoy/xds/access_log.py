"""
The access log: one JSON object a request, into one file, as often as the request's route says.

How often is in the route's metadata and not in the listener, which must not be replaced (and drained) because another
Ingress logs otherwise. The draw is the request id: Envoy makes it, at random, whatever the client sends.
"""

from __future__ import annotations

from google.protobuf.struct_pb2 import Struct

from kiteway._proto.envoy.config.accesslog.v3.accesslog_pb2 import AccessLog, AccessLogFilter, ExtensionFilter
from kiteway._proto.envoy.config.core.v3.base_pb2 import Metadata
from kiteway._proto.envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from kiteway._proto.envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from kiteway._proto.envoy.extensions.access_loggers.filters.cel.v3.cel_pb2 import ExpressionFilter
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.common import pack

_NAMESPACE = "kiteway"
_BELOW = "log_below"
_DIGITS = 8

_FIELDS = {
    "time": "%START_TIME%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "tls": "%DOWNSTREAM_TLS_VERSION%",
    "sni": "%REQUESTED_SERVER_NAME%",
    "protocol": "%PROTOCOL%",
    "host": "%REQ(:AUTHORITY):256%",
    "method": "%REQ(:METHOD):16%",
    "path": "%PATH(NQ):256%",
    "database": "%REQ(DBNAME):256%",
    "user_agent": "%REQ(USER-AGENT):256%",
    "request_id": "%REQ(X-REQUEST-ID):64%",
    "client_request_id": "%REQ(CLIENT-REQUEST-ID):64%",
    "route": "%ROUTE_NAME%",
    "pool": "%UPSTREAM_CLUSTER%",
    "endpoint": "%UPSTREAM_HOST%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "status": "%RESPONSE_CODE%",
    "grpc_status": "%GRPC_STATUS(SNAKE_STRING)%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "request_bytes": "%BYTES_RECEIVED%",
    "response_bytes": "%BYTES_SENT%",
    "duration_ms": "%DURATION%",
    "endpoint_ms": "%COMMON_DURATION(US_TX_BEG:US_RX_BEG:ms)%",
}
"""Never a body, never ``authorization``, never a query (REST clients put what they like there)."""


def access_logs(settings: EnvoySettings) -> list[AccessLog]:
    """Return the access log of a listener."""
    if settings.access_log is None:
        return []
    fields = Struct()
    fields.update(_FIELDS)
    file = FileAccessLog(
        path=str(settings.access_log),
        log_format=SubstitutionFormatString(json_format=fields, omit_empty_values=True),
    )
    return [AccessLog(name="envoy.access_loggers.file", filter=_sampled(), typed_config=pack(file))]


def log_rate(rate: float) -> Metadata:
    """Return the metadata of a route whose requests are logged with the probability ``rate``, 0 to 1."""
    threshold = round(rate * 16**_DIGITS)
    # "g" is above every hexadecimal digit, the empty string below.
    below = "g" if threshold >= 16**_DIGITS else f"{threshold:0{_DIGITS}x}" if threshold else ""
    metadata = Metadata()
    metadata.filter_metadata[_NAMESPACE].update({_BELOW: below})
    return metadata


def _sampled() -> AccessLogFilter:
    """Log what its route asks for, and what Kiteway answers itself: such a route asks for nothing."""
    of_route = f"xds.route_metadata.filter_metadata['{_NAMESPACE}']['{_BELOW}']"
    expression = f"!('{_NAMESPACE}' in xds.route_metadata.filter_metadata) || request.id < {of_route}"
    return AccessLogFilter(
        extension_filter=ExtensionFilter(
            name="envoy.access_loggers.extension_filters.cel",
            typed_config=pack(ExpressionFilter(expression=expression)),
        )
    )
