"""Reads a Helm release from Helm's Secret: JSON, compressed, in base64 twice."""

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
"""The most bytes that a release may unpack to; its Secret holds up to 1 MiB."""


def read_release(secret: Raw) -> Release | None:
    """
    Return the release in one of Helm's Secrets; None if it cannot be read.

    Its ``effective`` values are the user's merged over the chart's own; subcharts' defaults are not included.
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
