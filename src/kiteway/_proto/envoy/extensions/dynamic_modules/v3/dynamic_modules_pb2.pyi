from kiteway._proto.envoy.config.core.v3 import base_pb2 as _base_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DynamicModuleConfig(_message.Message):
    __slots__ = ("name", "do_not_close", "load_globally", "metrics_namespace", "module", "nack_on_cache_miss")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DO_NOT_CLOSE_FIELD_NUMBER: _ClassVar[int]
    LOAD_GLOBALLY_FIELD_NUMBER: _ClassVar[int]
    METRICS_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    MODULE_FIELD_NUMBER: _ClassVar[int]
    NACK_ON_CACHE_MISS_FIELD_NUMBER: _ClassVar[int]
    name: str
    do_not_close: bool
    load_globally: bool
    metrics_namespace: str
    module: _base_pb2.AsyncDataSource
    nack_on_cache_miss: bool
    def __init__(self, name: _Optional[str] = ..., do_not_close: _Optional[bool] = ..., load_globally: _Optional[bool] = ..., metrics_namespace: _Optional[str] = ..., module: _Optional[_Union[_base_pb2.AsyncDataSource, _Mapping]] = ..., nack_on_cache_miss: _Optional[bool] = ...) -> None: ...
