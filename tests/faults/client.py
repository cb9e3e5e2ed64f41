"""
Connects with the PyMilvus on its path, lists the collections, and prints what its user would see, and when.

It runs as a separate program: ``client.py``, with the arguments of `MilvusClient` as JSON on its standard input.
"""

from __future__ import annotations

import json
import logging
import sys
import time

import pymilvus


def main() -> None:
    """Connect, and print one JSON object."""
    # Its warnings about retries are not what it raises.
    logging.disable(logging.CRITICAL)
    given = json.load(sys.stdin)
    started = time.monotonic()
    said = "works"
    try:
        pymilvus.MilvusClient(**given).list_collections()
    except Exception as error:  # noqa: BLE001 - whatever the user sees
        said = f"{type(error).__name__}: {error}"
    sys.stdout.write(json.dumps({"said": said, "seconds": time.monotonic() - started}) + "\n")


main()
