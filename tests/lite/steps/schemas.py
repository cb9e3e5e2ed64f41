"""Collections, indexes, aliases, partitions and changes of a schema."""

from __future__ import annotations

from pymilvus import DataType, MilvusClient

from tests.lite.session import Session
from tests.lite.steps.data import DIMENSION, KITES, kite, vector


def collections(s: Session) -> None:
    """Collections."""
    c = s.client
    s.step("create_collection(schema), dynamic and nullable fields, a default", lambda: _kites(c))
    s.step("create_collection() of a name that exists, another schema", lambda: c.create_collection(KITES, dimension=3))
    s.step("has_collection()", lambda: c.has_collection(KITES))
    s.step("describe_collection()", lambda: c.describe_collection(KITES))
    s.step("list_collections()", c.list_collections)
    s.step("create_collection('quick', dimension=4)", lambda: c.create_collection("quick", dimension=4))
    s.step("rename_collection('quick', 'slow')", lambda: c.rename_collection("quick", "slow"))
    s.step("has_collection('quick')", lambda: c.has_collection("quick"))
    s.step("get_collection_stats('slow')", lambda: c.get_collection_stats("slow"))
    for name in ("slow", "quick"):  # a server without rename_collection has the other
        s.step(f"drop_collection({name!r})", lambda name=name: c.drop_collection(name))  # type: ignore[misc]
    s.step("describe_collection() of none", lambda: c.describe_collection("slow"))


def _kites(client: MilvusClient) -> None:
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
    schema.add_field("colour", DataType.VARCHAR, max_length=20, default_value="white")
    schema.add_field("price", DataType.DOUBLE, nullable=True)
    schema.add_field("tags", DataType.JSON, nullable=True)
    schema.add_field("marks", DataType.ARRAY, element_type=DataType.INT64, max_capacity=8)
    client.create_collection(KITES, schema=schema, consistency_level="Bounded")


def indexes(s: Session) -> None:
    """Indexes and loading."""
    c = s.client
    s.step("create_index(HNSW, L2)", lambda: c.create_index(KITES, _index(c, "HNSW", {"M": 8, "efConstruction": 64})))
    s.step("list_indexes()", lambda: c.list_indexes(KITES))
    s.step("describe_index()", lambda: c.describe_index(KITES, "vector"))
    s.step("drop_index() of a loaded collection", lambda: c.drop_index(KITES, "vector"))
    s.step("release_collection() before it", lambda: c.release_collection(KITES))
    s.step("drop_index()", lambda: c.drop_index(KITES, "vector"))
    s.step("list_indexes() after it", lambda: c.list_indexes(KITES))
    s.step("create_index(IVF_FLAT)", lambda: c.create_index(KITES, _index(c, "IVF_FLAT", {"nlist": 4})))
    s.step("release_collection() before its end", lambda: c.release_collection(KITES))
    s.step("drop_index() of IVF_FLAT", lambda: c.drop_index(KITES, "vector"))
    s.step("create_index(FLAT)", lambda: c.create_index(KITES, _index(c, "FLAT", {})))
    s.step("create_index(INVERTED) of a scalar field", lambda: c.create_index(KITES, _scalar(c)))
    s.step("alter_index_properties()", lambda: c.alter_index_properties(KITES, "vector", {"mmap.enabled": True}))
    s.step("load_collection()", lambda: c.load_collection(KITES))
    s.step("get_load_state()", lambda: c.get_load_state(KITES))
    s.step("release_collection()", lambda: c.release_collection(KITES))
    s.step("get_load_state(), released", lambda: c.get_load_state(KITES))
    s.step("search in a released collection", lambda: c.search(KITES, [vector(1)], limit=1))
    s.step("load_collection() again", lambda: c.load_collection(KITES))


def _index(client: MilvusClient, kind: str, parameters: dict[str, int]) -> object:
    index = client.prepare_index_params()
    index.add_index("vector", index_type=kind, metric_type="L2", params=parameters)
    return index


def _scalar(client: MilvusClient) -> object:
    index = client.prepare_index_params()
    index.add_index("colour", index_type="INVERTED")
    return index


def aliases(s: Session) -> None:
    """Aliases."""
    c = s.client
    s.step("create_alias()", lambda: c.create_alias(KITES, "flyers"))
    s.step("describe_alias()", lambda: c.describe_alias("flyers"))
    s.step("list_aliases()", lambda: c.list_aliases(KITES))
    s.step("search by the alias", lambda: c.search("flyers", [vector(4)], limit=2))
    s.step("describe_collection() by the alias", lambda: c.describe_collection("flyers")["collection_name"])
    s.step("create_collection('other')", lambda: c.create_collection("other", dimension=DIMENSION))
    s.step("insert into 'other'", lambda: c.insert("other", [{"id": 900, "vector": vector(4)}]))
    s.step("alter_alias()", lambda: c.alter_alias("other", "flyers"))
    s.step("the same search by the alias", lambda: c.search("flyers", [vector(4)], limit=2))
    s.step("drop_alias()", lambda: c.drop_alias("flyers"))
    s.step("search by the dropped alias", lambda: c.search("flyers", [vector(4)], limit=2))
    s.step("drop_collection('other')", lambda: c.drop_collection("other"))


def partitions(s: Session) -> None:
    """Partitions."""
    c = s.client
    s.step("create_partition('north')", lambda: c.create_partition(KITES, "north"))
    s.step("has_partition('north')", lambda: c.has_partition(KITES, "north"))
    s.step("list_partitions()", lambda: c.list_partitions(KITES))
    s.step("insert into 'north'", lambda: c.insert(KITES, [kite(500), kite(501)], partition_name="north"))
    s.step("search in 'north'", lambda: c.search(KITES, [vector(500)], limit=5, partition_names=["north"]))
    s.step(
        "query in '_default'",
        lambda: c.query(KITES, "id in [1, 500]", partition_names=["_default"], output_fields=["id"]),
    )
    s.step("get_partition_stats('north')", lambda: c.get_partition_stats(KITES, "north"))
    s.step("load_partitions('north')", lambda: c.load_partitions(KITES, ["north"]))
    s.step("release_partitions('north')", lambda: c.release_partitions(KITES, ["north"]))
    s.step("drop_partition('north')", lambda: c.drop_partition(KITES, "north"))
    s.step("query of its rows", lambda: c.query(KITES, "id >= 500", output_fields=["id"]))


def changes(s: Session) -> None:
    """Changes of a schema."""
    c = s.client
    s.step(
        "alter_collection_properties()", lambda: c.alter_collection_properties(KITES, {"collection.ttl.seconds": 86400})
    )
    s.step("describe_collection(), properties", lambda: c.describe_collection(KITES)["properties"])
    s.step("drop_collection_properties()", lambda: c.drop_collection_properties(KITES, ["collection.ttl.seconds"]))
    s.step("alter_collection_field()", lambda: c.alter_collection_field(KITES, "colour", {"max_length": 40}))
    s.step("add_collection_field()", lambda: c.add_collection_field(KITES, "year", DataType.INT64, nullable=True))
    s.step("drop_collection_field()", lambda: c.drop_collection_field(KITES, "year"))
