from kiteway._proto.envoy.config.core.v3 import cel_pb2 as _cel_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExpressionFilter(_message.Message):
    __slots__ = ("expression", "cel_config")
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    CEL_CONFIG_FIELD_NUMBER: _ClassVar[int]
    expression: str
    cel_config: _cel_pb2.CelExpressionConfig
    def __init__(self, expression: _Optional[str] = ..., cel_config: _Optional[_Union[_cel_pb2.CelExpressionConfig, _Mapping]] = ...) -> None: ...
