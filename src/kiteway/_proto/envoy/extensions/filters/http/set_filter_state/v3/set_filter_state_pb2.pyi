from kiteway._proto.envoy.extensions.filters.common.set_filter_state.v3 import value_pb2 as _value_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Config(_message.Message):
    __slots__ = ("on_request_headers", "clear_route_cache")
    ON_REQUEST_HEADERS_FIELD_NUMBER: _ClassVar[int]
    CLEAR_ROUTE_CACHE_FIELD_NUMBER: _ClassVar[int]
    on_request_headers: _containers.RepeatedCompositeFieldContainer[_value_pb2.FilterStateValue]
    clear_route_cache: bool
    def __init__(self, on_request_headers: _Optional[_Iterable[_Union[_value_pb2.FilterStateValue, _Mapping]]] = ..., clear_route_cache: _Optional[bool] = ...) -> None: ...
