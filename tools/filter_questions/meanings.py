"""Variants that ask for the same in another way, or for what the cache leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message
from pymilvus.grpc_gen import common_pb2

from tools.filter_questions.bases import add_ranker
from tools.filter_questions.variant import MAPS, SORTED, copy_of, pair, variant
from tools.filter_questions.wire import delimited, joined, records


def consistencies(message: Any) -> Iterator[dict[str, Any]]:
    """Yield every combination of level, guarantee and default flag, with what Milvus makes of it."""
    for level in range(5):
        for guarantee in (0, 1, 2, 1 << 60):
            for default in (False, True):
                copy = copy_of(message)
                copy.consistency_level = level
                copy.guarantee_timestamp = guarantee
                copy.use_default_consistency = default
                made = variant("same", f"wants level {level}, guarantee {guarantee}, default {default}", copy)
                meaning = {"level": "Default" if default else _level(level, guarantee), "guarantee": str(guarantee)}
                yield made | {"wants": meaning}


def _level(level: int, guarantee: int) -> str:
    """Return the level that Milvus takes: without one, SDKs of Milvus 2.1 and earlier say it by the guarantee."""
    name: str = common_pb2.ConsistencyLevel.Name(level)
    if level == 0:
        return {0: "Strong", 1: "Eventually", 2: "Bounded"}.get(guarantee, "Customized")
    return "Eventually" if name in ("Session", "Customized") and guarantee == 1 else name


def reordered(method: str, message: Message) -> Iterator[dict[str, Any]]:
    """Yield variants with parameters or map entries in reverse order, with one repeated, and with the first left out."""
    numbers = {field.name: field.number for field in message.DESCRIPTOR.fields}
    fields = list(records(message.SerializeToString(deterministic=True)))
    for name in sorted((SORTED | MAPS) & numbers.keys()):
        number = numbers[name]
        those = [record for record in fields if record[0] == number]
        if len(those) < 2:
            continue
        rest = [record for record in fields if record[0] != number]
        yield variant("same", f"reverses {name}", joined([*rest, *reversed(those)]))
        yield variant("other", f"repeats an entry of {name}", joined([*fields, those[0]]))
        yield variant("other", f"has no first entry of {name}", joined([*rest, *those[1:]]))
        first, second = _pairs_of_one_key(number)
        yield variant("other", f"has two entries of {name} for a key", joined([*fields, first, second]))
        yield variant("other", f"has them the other way round in {name}", joined([*fields, second, first]))
        if name in SORTED:
            upper = (number, delimited(number, pair("K", "1").SerializeToString()))
            lower = (number, delimited(number, pair("k", "2").SerializeToString()))
            yield variant("other", f"has keys of {name} that differ in case", joined([*fields, upper, lower]))
            yield variant("other", f"has those in another order in {name}", joined([*fields, lower, upper]))
    if method == "HybridSearch":
        yield from _hybrid_variants(message)


def _pairs_of_one_key(number: int) -> tuple[tuple[int, bytes], tuple[int, bytes]]:
    # `TemplateValue`s of one field each, so that the bytes are right for maps too.
    values = (b"\x0a\x01k\x12\x02\x10\x01", b"\x0a\x01k\x12\x02\x10\x02")
    one, two = ((number, delimited(number, value)) for value in values)
    return one, two


def _hybrid_variants(message: Any) -> Iterator[dict[str, Any]]:
    def changed(what: str, outcome: str, **fields: Any) -> dict[str, Any]:
        copy = copy_of(message)
        for name, value in fields.items():
            setattr(copy.requests[1], name, value)
        return variant(outcome, what, copy)

    yield changed("wants another level in a part", "same", consistency_level=2, guarantee_timestamp=2)
    yield changed("wants the default level in a part", "same", use_default_consistency=True, guarantee_timestamp=7)
    yield changed("names the collection of a part in no way", "other", collection_name="")
    yield changed("names the database of a part as the header does", "other", db_name="library")
    yield changed("names another database in a part", "other-collection", db_name="default")
    yield changed("takes a random sample in a part", "random-sample", dsl="RANDOM_SAMPLE(0.1)")
    copy = copy_of(message)
    del copy.requests[1].search_params[:]
    copy.requests[1].search_params.extend(reversed(message.requests[1].search_params))
    yield variant("same", "reverses search_params in a part", copy)
    copy.CopyFrom(message)
    first, second = message.requests
    del copy.requests[:]
    copy.requests.extend([second, first])
    yield variant("other", "swaps the parts", copy)
    copy.CopyFrom(message)
    copy.requests[0].search_params.append(pair("iterator", "True"))
    yield variant("iterator", "iterates in a part", copy)


def special(message: Any) -> Iterator[dict[str, Any]]:
    """Yield reads that are not kept, and some that only look like them."""
    name = next(iter(SORTED & {field.name for field in message.DESCRIPTOR.fields}))
    for reason, key, value in (
        ("iterator", "iterator", "True"),
        ("iterator", "search_iter_v2", "True"),
        ("iterator", "search_iter_batch_size", "10"),
        ("cluster", "cluster_id", "2"),
        ("trace", "pipeline_trace", "true"),
        ("other", "iterator", "False"),
    ):
        copy = copy_of(message)
        getattr(copy, name).append(pair(key, value))
        yield variant(reason, f"has {key}={value}", copy)
    fields = message.DESCRIPTOR.fields_by_name
    for field in ("dsl", "expr"):
        if field in fields:
            copy = copy_of(message)
            setattr(copy, field, "id > 5 and random_sample(0.01)")
            yield variant("random-sample", "takes a random sample", copy)
    if "function_score" in fields:
        for outcome, parameters in (
            ("other", [("reranker", "weighted"), ("weights", "[0.1]")]),
            ("other", [("reranker", "decay"), ("function", "gauss")]),
            ("other", [("reranker", "boost"), ("weight", "2")]),
            ("reranker", [("reranker", "boost"), ("random_score", '{"seed": 1}')]),
            ("reranker", [("reranker", "model"), ("provider", "tei")]),
            ("reranker", [("reranker", "a later one")]),
        ):
            copy = copy_of(message)
            add_ranker(copy.function_score, *parameters)
            yield variant(outcome, f"is reranked with {dict(parameters)}", copy)
