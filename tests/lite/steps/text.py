"""Full text: BM25, text match, and hybrid searches."""

from __future__ import annotations

from typing import Any

from pymilvus import AnnSearchRequest, DataType, Function, FunctionType, MilvusClient, RRFRanker, WeightedRanker

from tests.lite.session import Session
from tests.lite.steps.data import vector

BOOKS = "books"
TITLES = (
    "the wind in the willows",
    "a history of kites and wind",
    "kites of the northern sky",
    "willows by the river",
    "a river runs through the sky",
    "how to build a kite that flies in strong wind",
    "the northern river in winter",
    "winter wind",
)


def full_text(s: Session) -> None:
    """Full text search."""
    c = s.client
    s.step("create_collection() with a BM25 function and an analyzer", lambda: _books(c))
    s.step("describe_collection(), functions", lambda: c.describe_collection(BOOKS)["functions"])
    s.step("insert() of texts", lambda: c.insert(BOOKS, [_book(n) for n in range(len(TITLES))]))

    def search(text: str, **more: Any) -> Any:
        return c.search(BOOKS, [text], anns_field="sparse", limit=4, output_fields=["title"], **more)

    s.step("search('wind kites') by BM25", lambda: search("wind kites"))
    s.step("search('river') by BM25 with a filter", lambda: search("river", filter="id > 3"))
    s.step("search of two texts", lambda: c.search(BOOKS, ["wind", "sky"], anns_field="sparse", limit=2))
    s.step("search('zebra'), in no title", lambda: search("zebra"))
    s.step("query(text_match)", lambda: c.query(BOOKS, 'text_match(title, "river winter")', output_fields=["title"]))
    s.step(
        "search(vector, text_match)",
        lambda: c.search(BOOKS, [vector(2)], anns_field="dense", limit=3, filter='text_match(title, "kites")'),
    )
    s.step(
        "query(phrase_match)", lambda: c.query(BOOKS, 'phrase_match(title, "northern sky")', output_fields=["title"])
    )
    s.step("query(like)", lambda: c.query(BOOKS, 'title like "%river%"', output_fields=["id"]))
    s.step("run_analyzer()", lambda: c.run_analyzer("Winds and kites", {"type": "english"}))


def hybrid(s: Session) -> None:
    """Hybrid search."""
    c = s.client

    def requests(text: str, number: int, expression: str | None = None) -> list[AnnSearchRequest]:
        return [
            AnnSearchRequest([vector(number)], "dense", {"metric_type": "L2"}, limit=5, expr=expression),
            AnnSearchRequest([text], "sparse", {"metric_type": "BM25"}, limit=5, expr=expression),
        ]

    fields = ["title"]
    s.step("hybrid_search(RRFRanker)", lambda: c.hybrid_search(BOOKS, requests("wind", 3), RRFRanker(), 4, fields))
    s.step(
        "hybrid_search(WeightedRanker)",
        lambda: c.hybrid_search(BOOKS, requests("river", 5), WeightedRanker(0.3, 0.7), 4, fields),
    )
    s.step(
        "hybrid_search() with a filter",
        lambda: c.hybrid_search(BOOKS, requests("wind", 3, "id < 6"), RRFRanker(20), 4, fields),
    )
    s.step(
        "hybrid_search() with an offset",
        lambda: c.hybrid_search(BOOKS, requests("wind", 3), RRFRanker(), 2, fields, offset=1),
    )
    s.step(
        "hybrid_search(ranker of a Function)",
        lambda: c.hybrid_search(BOOKS, requests("wind", 3), _reranker(), 4, fields),
    )
    s.step(
        "search() with a decay ranker",
        lambda: c.search(BOOKS, [vector(2)], anns_field="dense", limit=4, ranker=_decay()),
    )
    s.step("hybrid_search() of one request", lambda: c.hybrid_search(BOOKS, requests("wind", 3)[:1], RRFRanker(), 2))
    s.step(
        "hybrid_search() in a field that is none",
        lambda: c.hybrid_search(BOOKS, [AnnSearchRequest([vector(1)], "none", {}, 2)], RRFRanker(), 2),
    )
    s.step("drop_collection()", lambda: c.drop_collection(BOOKS))


def _books(client: MilvusClient) -> None:
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("title", DataType.VARCHAR, max_length=200, enable_analyzer=True, enable_match=True)
    schema.add_field("year", DataType.INT64)
    schema.add_field("dense", DataType.FLOAT_VECTOR, dim=8)
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_function(Function("words", FunctionType.BM25, ["title"], ["sparse"]))
    index = client.prepare_index_params()
    index.add_index("dense", index_type="FLAT", metric_type="L2")
    index.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
    client.create_collection(BOOKS, schema=schema, index_params=index)


def _book(number: int) -> dict[str, Any]:
    return {"id": number, "title": TITLES[number], "year": 1990 + number, "dense": vector(number)}


def _reranker() -> Function:
    return Function("rrf", FunctionType.RERANK, [], params={"reranker": "rrf", "k": 60})


def _decay() -> Function:
    parameters = {"reranker": "decay", "function": "gauss", "origin": 1993, "scale": 2, "decay": 0.5, "offset": 0}
    return Function("newer", FunctionType.RERANK, ["year"], params=parameters)
