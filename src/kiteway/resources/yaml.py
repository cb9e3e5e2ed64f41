"""
From the bytes of a file to its YAML documents.

A file is split at its ``---`` lines first and each part read by itself, as kubectl does; so a part that is not YAML
costs its own documents and no others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kiteway.resources import reasons
from kiteway.resources.compose import Budget, Composer, Document, Fault, FileTooLargeError, UnreadableError
from kiteway.resources.limits import DEFAULT, Limits
from kiteway.resources.places import spot

_SEPARATOR = re.compile(rb"(?:\A|(?<=[\r\n]))(?:\xef\xbb\xbf)?---(?=[ \t\r\n]|\Z)")

# What YAML calls printable. libyaml stops at others, too, but does not say where.
_FORBIDDEN = re.compile(
    "[^\\t\\n\\r\\x20-\\x7e\\x85\\xa0-\\ud7ff\\ue000-\\ufefe\\uff00-\\ufffd\\U00010000-\\U0010ffff]"
)

_BYTE_ORDER_MARK = "\ufeff"


def parse(text: bytes, limits: Limits = DEFAULT) -> Iterator[Document | Fault]:
    """Yield the documents of a file, and what is wrong with those that cannot be read, in order."""
    if len(text) > limits.size:
        message = f"The file has {len(text)} bytes, more than the {limits.size} allowed; nothing of it is read."
        yield Fault(0, reasons.FILE_TOO_LARGE, message, "Split the file.")
        return
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        message = "The file is not UTF-8; it begins like UTF-16."
        fix = "Save it as UTF-8; in Windows PowerShell: kubectl ... | Out-File -Encoding utf8."
        yield Fault(spot(1, 1), reasons.INVALID_ENCODING, message, fix)
        return
    budget = Budget.of(limits)
    names: dict[str, str] = {}
    line = 1
    for offset, part in _parts(text):
        try:
            yield from Composer(_decode(part, offset, line), line, limits, budget, names).documents()
        except FileTooLargeError as error:
            yield error.fault
            return
        except UnreadableError as error:
            yield error.fault
        line += part.count(b"\n") + part.count(b"\r") - part.count(b"\r\n")


def _parts(text: bytes) -> Iterator[tuple[int, bytes]]:
    begin = 0
    for separator in _SEPARATOR.finditer(text):
        if separator.start() > begin:
            yield begin, text[begin : separator.start()]
            begin = separator.start()
    yield begin, text[begin:]


def _decode(part: bytes, offset: int, line: int) -> str:
    try:
        decoded = part.decode().removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        before = part[: error.start]
        message = (
            f"The document is not UTF-8: byte 0x{part[error.start]:02x} at offset {offset + error.start} of the file."
        )
        at = _spot_after(before.decode(errors="replace"), line)
        raise UnreadableError(Fault(at, reasons.INVALID_ENCODING, message, "Save the file as UTF-8.")) from None
    if found := _FORBIDDEN.search(decoded):
        character = ord(found.group())
        message = f"The document holds the character U+{character:04X}, which YAML does not allow."
        at = _spot_after(decoded[: found.start()], line)
        raise UnreadableError(
            Fault(at, reasons.CONTROL_CHARACTER, message, "Remove it, or write it as an escape in double quotes.")
        )
    return decoded


def _spot_after(text: str, line: int) -> int:
    """Return the place of the character that follows a text which begins at the start of a line."""
    lines = re.split(r"\r\n|\r|\n", text)
    return spot(line + len(lines) - 1, len(lines[-1]) + 1)
