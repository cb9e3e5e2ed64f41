"""
Generate the requests for the tests of the cache's keys.

PyMilvus makes each base request. Its variants ask for the same (``same``), for something else (``other``), or for something
that the cache leaves alone (``bypass``, with the reason). A field that a later PyMilvus adds becomes an ``other`` variant by
itself. ``kinds`` has the numbers of the fields that matter, from PyMilvus's descriptors. Without arguments the command
writes ``filter/testdata/questions.json``; with ``--check`` it writes nothing and exits with 1 when the file is out of date.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from pymilvus.grpc_gen import milvus_pb2

from tools.filter_questions.bases import full_search, hybrid, query, search
from tools.filter_questions.edges import header_variants, wire_variants
from tools.filter_questions.fields import mutated
from tools.filter_questions.meanings import consistencies, reordered, special
from tools.filter_questions.variant import HEADERS, IGNORED, MAPS, SORTED

ROOT = Path(__file__).resolve().parent.parent
QUESTIONS = ROOT / "filter/testdata/questions.json"

_KINDS: dict[str, tuple[Descriptor, dict[str, str]]] = {
    "Search": (milvus_pb2.SearchRequest.DESCRIPTOR, {"sub_reqs": "SubSearch"}),
    "HybridSearch": (milvus_pb2.HybridSearchRequest.DESCRIPTOR, {"requests": "Part"}),
    "Query": (milvus_pb2.QueryRequest.DESCRIPTOR, {}),
    "Part": (milvus_pb2.SearchRequest.DESCRIPTOR, {"sub_reqs": "SubSearch"}),
    "SubSearch": (milvus_pb2.SubSearchRequest.DESCRIPTOR, {}),
}


def kinds() -> dict[str, Any]:
    """Return the numbers of the fields of each message that are not simply part of the key."""
    found = {}
    for name, (descriptor, nested) in _KINDS.items():
        numbers = {field.name: field.number for field in descriptor.fields}
        found[name] = {
            "ignored": [numbers[field] for field in sorted(IGNORED & numbers.keys())],
            "sorted": [numbers[field] for field in sorted(SORTED & numbers.keys())],
            "maps": [numbers[field] for field in sorted(MAPS & numbers.keys())],
            "nested": {str(numbers[field]): kind for field, kind in nested.items()},
        }
    return found


def questions() -> Iterator[dict[str, Any]]:
    """Yield the base requests with their variants."""
    for name, method, message in (
        ("search", "Search", search()),
        ("full search", "Search", full_search()),
        ("hybrid search", "HybridSearch", hybrid()),
        ("query", "Query", query()),
    ):
        variants = list(_variants(method, message))
        if name != "full search":
            variants += consistencies(message)
        if name == "search":
            variants += [*header_variants(message), *wire_variants(message)]
        yield {
            "name": name,
            "method": method,
            "message": message.SerializeToString(deterministic=True).hex(),
            "variants": variants,
        }


def _variants(method: str, message: Message) -> Iterator[dict[str, Any]]:
    yield from mutated(message, _KINDS[method][0], [])
    yield from reordered(method, message)
    yield from special(message)


def render() -> str:
    """Return the file, one variant a line; equal versions of PyMilvus give equal bytes."""
    lines = []
    for question in questions():
        variants = ",\n".join(json.dumps(variant) for variant in question.pop("variants"))
        lines.append(f'{json.dumps(question)[:-1]}, "variants": [\n{variants}\n]}}')
    parts = (
        f'"headers": {json.dumps(HEADERS)}',
        f'"kinds": {json.dumps(kinds())}',
        '"questions": [\n' + ",\n".join(lines) + "\n]",
    )
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main(arguments: list[str]) -> int:
    """Write the file, or with ``--check`` say whether it is up to date."""
    if arguments not in ([], ["--check"]):
        print("usage: generate_filter_questions.py [--check]", file=sys.stderr)
        return 2
    text = render()
    if not arguments:
        QUESTIONS.write_text(text)
        return 0
    if QUESTIONS.exists() and QUESTIONS.read_text() == text:
        return 0
    print(
        f"{QUESTIONS.relative_to(ROOT)} is out of date: run `python -m tools.generate_filter_questions`",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
