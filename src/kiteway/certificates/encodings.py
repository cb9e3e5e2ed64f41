"""Recognises data in place of a PEM file by its first bytes. No message contains the data."""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

_BEGIN = b"-----BEGIN "
_DER_SEQUENCE = b"\x30\x82"
_PKCS12_VERSION = b"\x02\x01\x03"
_FILE_NAME = re.compile(rb"[\w./~-]{1,250}\.(?:pem|crt|cer|key|p12|pfx)\s*\Z")
_MOST = 1 << 20


class Encoding(NamedTuple):
    """What the bytes are, as the rest of "it ...", and what to do."""

    what: str
    fix: str


_TWICE = Encoding(
    "is base64 of a PEM file, encoded once more than needed",
    "Encode the file once for data (base64 -w0 FILE), or put its text under stringData.",
)
_OFTEN = Encoding("is base64 of a PEM file, encoded several times more than needed", _TWICE.fix)
_BODY = Encoding(
    "is DER, the content of a PEM file without its BEGIN and END lines",
    "Encode the whole PEM file, with its BEGIN and END lines: base64 -w0 FILE.",
)
_BODY_AS_TEXT = Encoding(
    "is the middle of a PEM file, without its BEGIN and END lines",
    "Give the whole PEM file, with its BEGIN and END lines.",
)
_PKCS12 = Encoding(
    "is a PKCS #12 file (.p12, .pfx)",
    "Convert it: openssl pkcs12 -in FILE -nodes -out tls.pem; put its certificates into tls.crt and its key into tls.key.",
)
_ESCAPED = Encoding(
    r"is PEM with its line ends written as \n",
    "Write it as a block with real line ends: `tls.crt: |` and the lines below, indented.",
)
_ONE_LINE = Encoding(
    "is PEM without its line ends",
    "Write it as a block, each line on its own: `tls.crt: |` and the lines below, indented.",
)
_NAME = Encoding("is the name of a file", "Put the file's content there, not its name.")
_UTF16 = Encoding("is UTF-16 text", "Save the file as ASCII or UTF-8 without a byte order mark.")


def encoding_of(content: bytes) -> Encoding | None:
    """Return the encoding of a file that should be PEM but is not; None if it is not recognised."""
    text = content.strip()
    if len(text) > _MOST:
        return None
    if text.startswith(_DER_SEQUENCE):
        return _PKCS12 if _PKCS12_VERSION in text[2:8] else _BODY
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _UTF16
    if text.startswith(_BEGIN):
        first_line = text.partition(b"\n")[0]
        if rb"\n" in first_line:
            return _ESCAPED
        return _ONE_LINE if first_line.count(b"-----") > 2 else None
    if _FILE_NAME.fullmatch(text):
        return _NAME
    decoded = _decoded(text)
    if decoded.startswith(_BEGIN):
        return _TWICE
    if _decoded(decoded).startswith(_BEGIN):
        return _OFTEN
    return _BODY_AS_TEXT if decoded.startswith(_DER_SEQUENCE) else None


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""
