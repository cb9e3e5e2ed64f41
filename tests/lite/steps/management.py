"""Connections, databases, maintenance, and what Milvus Lite does not have."""

from __future__ import annotations

from tests.lite.session import Session
from tests.lite.steps.data import KITES, vector


def connection(s: Session) -> None:
    """Connection."""
    s.step("get_server_version()", s.client.get_server_version)
    s.step("get_server_type()", s.client.get_server_type)
    s.step("list_collections() of an empty server", s.client.list_collections)


def databases(s: Session) -> None:
    """Databases."""
    c = s.client
    s.step("create_database('zoo')", lambda: c.create_database("zoo"))
    s.step("create_database('zoo') again", lambda: c.create_database("zoo"))
    s.step("list_databases()", lambda: sorted(c.list_databases()))
    s.step("describe_database('zoo')", lambda: c.describe_database("zoo"))
    s.step(
        "alter_database_properties('zoo')", lambda: c.alter_database_properties("zoo", {"database.max.collections": 7})
    )
    s.step("describe_database('zoo'), altered", lambda: c.describe_database("zoo"))
    s.step("drop_database_properties('zoo')", lambda: c.drop_database_properties("zoo", ["database.max.collections"]))
    zoo = s.place.connect(db_name="zoo")
    s.step("create_collection('cages') by a client with db_name", lambda: zoo.create_collection("cages", dimension=4))
    s.step("insert into it", lambda: zoo.insert("cages", [{"id": 1, "vector": vector(1, 4)}]))
    s.step("search in it", lambda: zoo.search("cages", [vector(1, 4)], limit=1))
    s.step("list_collections() in 'zoo'", zoo.list_collections)
    s.step("has_collection('cages') in 'default'", lambda: c.has_collection("cages"))
    s.step("drop_database('zoo') with a collection in it", lambda: c.drop_database("zoo"))
    s.step("drop_collection('cages')", lambda: zoo.drop_collection("cages"))
    zoo.close()
    s.step("use_database('zoo')", lambda: c.use_database("zoo"))
    s.step("list_collections() after use_database", c.list_collections)
    s.step("use_database('default')", lambda: c.use_database("default"))
    s.step("drop_database('zoo')", lambda: c.drop_database("zoo"))
    s.step("list_databases() at the end", c.list_databases)


def maintenance(s: Session) -> None:
    """Maintenance."""
    c = s.client
    s.step("flush()", lambda: c.flush(KITES))
    s.step("flush_all()", c.flush_all)
    s.step("get_flush_all_state()", lambda: c.get_flush_all_state(flush_all_ts=1))
    s.step("compact()", lambda: c.compact(KITES))
    s.step("get_compaction_state(0)", lambda: c.get_compaction_state(0))
    s.step("list_persistent_segments()", lambda: c.list_persistent_segments(KITES))
    s.step("list_loaded_segments()", lambda: c.list_loaded_segments(KITES))
    s.step("describe_replica()", lambda: c.describe_replica(KITES))
    s.step("truncate_collection()", lambda: c.truncate_collection(KITES))
    s.step("query(count(*)) after it", lambda: c.query(KITES, output_fields=["count(*)"]))
    s.step("insert after it", lambda: c.insert(KITES, {"id": 1, "vector": vector(1), "colour": "red", "marks": [1]}))
    s.step("query after it", lambda: c.query(KITES, "id == 1", output_fields=["colour", "price", "marks"]))
    s.step("drop_collection()", lambda: c.drop_collection(KITES))
    s.step("search in a dropped collection", lambda: c.search(KITES, [vector(1)], limit=1))
    s.step("has_collection() of a dropped one", lambda: c.has_collection(KITES))


def not_in_lite(s: Session) -> None:
    """Administration, which Milvus Lite does not have."""
    c = s.client
    s.step("create_user()", lambda: c.create_user("keeper", "Passw0rd"))
    s.step("list_users()", c.list_users)
    s.step("create_role()", lambda: c.create_role("keepers"))
    s.step("grant_privilege_v2()", lambda: c.grant_privilege_v2("keepers", "Search", "*"))
    s.step("create_privilege_group()", lambda: c.create_privilege_group("feeding"))
    s.step("list_privilege_groups()", c.list_privilege_groups)
    s.step("create_resource_group()", lambda: c.create_resource_group("rg"))
    s.step("list_resource_groups()", c.list_resource_groups)
    s.step("list_snapshots()", lambda: c.list_snapshots(KITES))
    s.step("create_snapshot()", lambda: c.create_snapshot(KITES, "s1"))
    s.step("list_file_resources()", c.list_file_resources)
    s.step("get_replicate_configuration()", c.get_replicate_configuration)
