"""
Traces: one span for each traced call, with the names of OpenTelemetry's semantic conventions for databases.

Kiteway's filter notes of a sampled call what it reads in the messages (the dynamic metadata `kiteway.call`), and Envoy makes
attributes of that. Without the filter a span has Envoy's own attributes only.
"""

from __future__ import annotations

from google.protobuf.wrappers_pb2 import BoolValue

from kiteway import __version__
from kiteway._proto.envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from kiteway._proto.envoy.config.trace.v3.http_tracer_pb2 import Tracing
from kiteway._proto.envoy.config.trace.v3.opentelemetry_pb2 import OpenTelemetryConfig
from kiteway._proto.envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from kiteway._proto.envoy.extensions.request_id.uuid.v3.uuid_pb2 import UuidRequestIdConfig
from kiteway._proto.envoy.extensions.tracers.opentelemetry.resource_detectors.v3 import (
    static_config_resource_detector_pb2 as detector,
)
from kiteway._proto.envoy.extensions.tracers.opentelemetry.samplers.v3.parent_based_sampler_pb2 import (
    ParentBasedSamplerConfig,
)
from kiteway._proto.envoy.extensions.tracers.opentelemetry.samplers.v3.trace_id_ratio_based_sampler_pb2 import (
    TraceIdRatioBasedSamplerConfig,
)
from kiteway._proto.envoy.type.metadata.v3.metadata_pb2 import MetadataKey, MetadataKind
from kiteway._proto.envoy.type.tracing.v3.custom_tag_pb2 import CustomTag
from kiteway._proto.envoy.type.v3.percent_pb2 import FractionalPercent
from kiteway.envoy.otlp import OtlpSettings
from kiteway.envoy.xds.collector import service
from kiteway.envoy.xds.common import pack

SERVICE = "kiteway"
"""The `service.name` of spans and log records."""

_CALL, _FILTER = "kiteway.call", "kiteway"
_MILLION = 1_000_000

_TEXTS = {
    "db.operation.name": (_CALL, "rpc"),
    "db.namespace": (_CALL, "database"),
    "db.collection.name": (_CALL, "collection"),
    "kiteway.user": (_CALL, "user"),
    "kiteway.level": (_CALL, "level"),
    "kiteway.cache": (_FILTER, "cache"),
    "kiteway.refused": (_FILTER, "refused"),
    "db.response.status_code": (_CALL, "code"),
}
_NUMBERS = {
    "kiteway.rows": (_CALL, "rows"),
    "kiteway.nq": (_CALL, "nq"),
    "kiteway.topk": (_CALL, "limit"),
}
_OF_ENVOY = {
    "kiteway.endpoint": "%UPSTREAM_HOST%",
    # In place of Envoy's own, which has the query: a REST client may put secrets there.
    "http.url": "%REQ(:SCHEME)%://%REQ(:AUTHORITY):256%%PATH(NQ):256%",
}


def tracing(otlp: OtlpSettings) -> hcm.HttpConnectionManager.Tracing:
    """Return the tracing of a listener. Envoy passes the context of the span on to Milvus, as `traceparent`."""
    config = OpenTelemetryConfig(
        http_service=service(otlp, "traces"),
        service_name=SERVICE,
        resource_detectors=[_resource(otlp)],
        sampler=_sampler(otlp.sampling),
    )
    return hcm.HttpConnectionManager.Tracing(
        provider=Tracing.Http(name="envoy.tracers.opentelemetry", typed_config=pack(config)),
        operation=f"%DYNAMIC_METADATA({_CALL}:rpc)%",
        custom_tags=[
            CustomTag(tag="db.system.name", literal=CustomTag.Literal(value="milvus")),
            *(_noted(tag, *place) for tag, place in _TEXTS.items()),
            *(_noted(tag, *place, kind=CustomTag.INT) for tag, place in _NUMBERS.items()),
            *(CustomTag(tag=tag, value=value) for tag, value in _OF_ENVOY.items()),
            CustomTag(tag="kiteway.attempts", value="%UPSTREAM_REQUEST_ATTEMPT_COUNT%", value_type=CustomTag.INT),
        ],
    )


def without_request_ids() -> hcm.RequestIDExtension:
    """Return the setting by which the tracer draws the sample; Envoy would draw it by the request id, which costs more."""
    config = UuidRequestIdConfig(
        pack_trace_reason=BoolValue(value=False), use_request_id_for_trace_sampling=BoolValue(value=False)
    )
    return hcm.RequestIDExtension(typed_config=pack(config))


def resource_attributes(otlp: OtlpSettings) -> dict[str, str]:
    """Return the attributes of this instance, beside `service.name`."""
    return {"service.version": __version__, "service.instance.id": otlp.instance}


def _resource(otlp: OtlpSettings) -> TypedExtensionConfig:
    config = detector.StaticConfigResourceDetectorConfig(attributes=resource_attributes(otlp))
    name = "envoy.tracers.opentelemetry.resource_detectors.static_config"
    return TypedExtensionConfig(name=name, typed_config=pack(config))


def _sampler(percent: float) -> TypedExtensionConfig:
    share = FractionalPercent(numerator=round(percent / 100 * _MILLION), denominator=FractionalPercent.MILLION)
    name = "envoy.tracers.opentelemetry.samplers."
    ratio = TraceIdRatioBasedSamplerConfig(sampling_percentage=share)
    wrapped = TypedExtensionConfig(name=f"{name}trace_id_ratio_based", typed_config=pack(ratio))
    return TypedExtensionConfig(
        name=f"{name}parent_based", typed_config=pack(ParentBasedSamplerConfig(wrapped_sampler=wrapped))
    )


def _noted(tag: str, namespace: str, key: str, kind: CustomTag.ValueType = CustomTag.STRING) -> CustomTag:
    """Return the attribute with what the filter has noted; a call of which it has not noted that has none."""
    place = MetadataKey(key=namespace, path=[MetadataKey.PathSegment(key=key)])
    of_request = MetadataKind(request=MetadataKind.Request())
    return CustomTag(tag=tag, metadata=CustomTag.Metadata(kind=of_request, metadata_key=place), value_type=kind)
