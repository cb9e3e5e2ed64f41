import datetime

from kiteway._proto.envoy.config.core.v3 import base_pb2 as _base_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import wrappers_pb2 as _wrappers_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConnectionLimit(_message.Message):
    __slots__ = ("stat_prefix", "max_connections", "delay", "runtime_enabled")
    STAT_PREFIX_FIELD_NUMBER: _ClassVar[int]
    MAX_CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_ENABLED_FIELD_NUMBER: _ClassVar[int]
    stat_prefix: str
    max_connections: _wrappers_pb2.UInt64Value
    delay: _duration_pb2.Duration
    runtime_enabled: _base_pb2.RuntimeFeatureFlag
    def __init__(self, stat_prefix: _Optional[str] = ..., max_connections: _Optional[_Union[_wrappers_pb2.UInt64Value, _Mapping]] = ..., delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., runtime_enabled: _Optional[_Union[_base_pb2.RuntimeFeatureFlag, _Mapping]] = ...) -> None: ...
