"""A Helm release as Helm keeps it: JSON, compressed, twice in base64, in a Secret."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import zlib
from typing import Any

from kiteway.doctor.cluster.snapshot import Raw
from kiteway.gke.live import Release, dig
from kiteway.gke.values import merged

_MOST_BYTES = 32 << 20
"""So much a release may unpack to; a Secret holds 1 MiB of it."""


def read_release(secret: Raw) -> Release | None:
    """
    Return the release in one of Helm's Secrets; None if it cannot be read.

    Its ``effective`` values are those of its user over the chart's own; what subcharts bring is not among them.
    """
    text = dig(secret, "data", "release")
    try:
        packed = base64.b64decode(base64.b64decode(str(text)))
        unpacked = zlib.decompressobj(wbits=31).decompress(packed, _MOST_BYTES) if packed[:2] == b"\x1f\x8b" else packed
        found = json.loads(unpacked)
    except (binascii.Error, gzip.BadGzipFile, zlib.error, ValueError, RecursionError):
        return None
    if not dig(found, "name"):
        return None
    values, defaults = _mapping(dig(found, "config")), _mapping(dig(found, "chart", "values"))
    revision = dig(found, "version")
    return Release(
        name=str(dig(found, "name")),
        namespace=str(dig(found, "namespace") or ""),
        chart=str(dig(found, "chart", "metadata", "name") or ""),
        version=str(dig(found, "chart", "metadata", "version") or ""),
        revision=revision if isinstance(revision, int) else 0,
        status=str(dig(found, "info", "status") or ""),
        values=values,
        effective=merged(defaults, values),
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
