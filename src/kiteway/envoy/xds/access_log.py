"""
The access log: one JSON object a request, into one file or to a collector, at the sample rate of the request's route.

The rate is set at the route, because a listener would be replaced, and drained, when one Ingress changes its rate.
Kiteway's filter draws the sample. Without the filter an expression compares the random request id with a number in the
route's metadata; that costs each call half as much as writing its line.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.struct_pb2 import Struct
from google.protobuf.wrappers_pb2 import BoolValue
from msgspec import UNSET, UnsetType
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue, KeyValueList

from kiteway._proto.envoy.config.accesslog.v3.accesslog_pb2 import (
    AccessLog,
    AccessLogFilter,
    ExtensionFilter,
    MetadataFilter,
)
from kiteway._proto.envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from kiteway._proto.envoy.config.route.v3.route_components_pb2 import Route
from kiteway._proto.envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from kiteway._proto.envoy.extensions.access_loggers.filters.cel.v3.cel_pb2 import ExpressionFilter
from kiteway._proto.envoy.extensions.access_loggers.open_telemetry.v3.logs_service_pb2 import (
    OpenTelemetryAccessLogConfig,
)
from kiteway._proto.envoy.type.matcher.v3.metadata_pb2 import MetadataMatcher
from kiteway._proto.envoy.type.matcher.v3.number_pb2 import DoubleMatcher
from kiteway._proto.envoy.type.matcher.v3.value_pb2 import ValueMatcher
from kiteway.envoy.otlp import OtlpSettings
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.collector import service
from kiteway.envoy.xds.common import pack
from kiteway.envoy.xds.tracing import SERVICE, resource_attributes

_NAMESPACE = "kiteway"
_LOGGED = "logged"
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
    "refused": "%DYNAMIC_METADATA(kiteway:refused)%",
    "cache": "%DYNAMIC_METADATA(kiteway:cache)%",
    "request_bytes": "%BYTES_RECEIVED%",
    "response_bytes": "%BYTES_SENT%",
    "duration_ms": "%DURATION%",
    "endpoint_ms": "%COMMON_DURATION(US_TX_BEG:US_RX_BEG:ms)%",
}
"""
Nothing of a body, never ``authorization``, never a query (a REST client may put secrets there).
"""

_CALL_FIELD = {"call": "%DYNAMIC_METADATA(kiteway.call)%"}
"""
The names and numbers that Kiteway's filter has read in the messages, as an object; null without any.
"""


def access_logs(settings: EnvoySettings) -> list[AccessLog]:
    """Return the access logs of a listener: the file, the collector, both or none."""
    drawn = _drawn_by_request_id() if settings.filter_path is None else _drawn_by_filter()
    fields = _FIELDS | _CALL_FIELD if settings.log_calls else _FIELDS
    logs = []
    if settings.access_log is not None:
        logs.append(
            AccessLog(name="envoy.access_loggers.file", filter=drawn, typed_config=pack(_file(settings, fields)))
        )
    if settings.otlp is not None and settings.otlp.logs:
        exported = pack(_exported(settings.otlp, fields))
        logs.append(AccessLog(name="envoy.access_loggers.open_telemetry", filter=drawn, typed_config=exported))
    return logs


def _file(settings: EnvoySettings, fields: Mapping[str, str]) -> FileAccessLog:
    line = Struct()
    line.update(fields)
    # omit_empty_values would make a line cost 50 % more.
    return FileAccessLog(path=str(settings.access_log), log_format=SubstitutionFormatString(json_format=line))


def _exported(otlp: OtlpSettings, fields: Mapping[str, str]) -> OpenTelemetryAccessLogConfig:
    """Return the log whose records have the fields of a line as attributes, and the trace and the span of the call."""
    return OpenTelemetryAccessLogConfig(
        http_service=service(otlp, "logs"),
        log_name="access",
        disable_builtin_labels=True,
        resource_attributes=_texts({"service.name": SERVICE, **resource_attributes(otlp)}),
        body=AnyValue(string_value="%REQ(:METHOD):16% %PATH(NQ):256%"),
        attributes=_texts({key: value for key, value in fields.items() if key != "time"}),
    )


def _texts(values: Mapping[str, str]) -> KeyValueList:
    return KeyValueList(values=[KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in values.items()])


def draws_by_request_id(settings: EnvoySettings) -> bool:
    """Return whether the access log needs Envoy to make request ids."""
    return settings.logs and settings.filter_path is None


def log_rate_for_filter(rate: float) -> float | UnsetType:
    """Return the filter's ``log_rate`` of a route whose requests are logged with the probability ``rate``, 0 to 1."""
    return rate if rate < 1 else UNSET


def add_log_rate_without_filter(route: Route, rate: float, settings: EnvoySettings) -> None:
    """Log requests of ``route`` with the probability ``rate``, 0 to 1, if there is no filter to do it."""
    if settings.filter_path is None:
        route.metadata.filter_metadata[_NAMESPACE].update({_BELOW: _below(rate)})


def _below(rate: float) -> str:
    """Return the bound that is above a share ``rate`` of the request ids, which begin with hexadecimal digits."""
    threshold = round(rate * 16**_DIGITS)
    # "g" is above every hexadecimal digit, the empty string below.
    return "g" if threshold >= 16**_DIGITS else f"{threshold:0{_DIGITS}x}" if threshold else ""


def _drawn_by_filter() -> AccessLogFilter:
    """Log what Kiteway's filter did not exclude."""
    matcher = MetadataMatcher(
        filter=_NAMESPACE,
        path=[MetadataMatcher.PathSegment(key=_LOGGED)],
        value=ValueMatcher(double_match=DoubleMatcher(exact=1)),
    )
    return AccessLogFilter(
        metadata_filter=MetadataFilter(matcher=matcher, match_if_key_not_found=BoolValue(value=True))
    )


def _drawn_by_request_id() -> AccessLogFilter:
    """Log the route's sample; a route whose calls Kiteway answers itself has no rate, and all of them are logged."""
    of_route = f"xds.route_metadata.filter_metadata['{_NAMESPACE}']['{_BELOW}']"
    expression = f"!('{_NAMESPACE}' in xds.route_metadata.filter_metadata) || request.id < {of_route}"
    return AccessLogFilter(
        extension_filter=ExtensionFilter(
            name="envoy.access_loggers.extension_filters.cel",
            typed_config=pack(ExpressionFilter(expression=expression)),
        )
    )
