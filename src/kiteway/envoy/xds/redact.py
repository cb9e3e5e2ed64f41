"""xDS without its secrets, for everything that prints it."""

from __future__ import annotations

from google.protobuf.message import Message

from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

REDACTED = "[redacted]"


def redacted(message: Message) -> Message:
    """Return a copy whose private keys are ``[redacted]``; keys are in Secrets only."""
    if not isinstance(message, Secret):
        return message
    copy = Secret()
    copy.CopyFrom(message)
    if copy.HasField("tls_certificate"):
        copy.tls_certificate.private_key.inline_string = REDACTED
    return copy
