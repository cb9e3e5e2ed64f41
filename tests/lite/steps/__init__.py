"""The steps of the session, in the order of their parts."""

from tests.lite.steps import clients, management, reads, schemas, text, types, writes

PARTS = (
    management.connection,
    management.databases,
    schemas.collections,
    schemas.indexes,
    writes.rows,
    writes.updates,
    reads.queries,
    reads.searches,
    reads.levels,
    reads.iterators,
    text.full_text,
    text.hybrid,
    types.vectors,
    types.json_and_arrays,
    types.geometry,
    types.timestamps,
    schemas.aliases,
    schemas.partitions,
    schemas.changes,
    management.maintenance,
    management.not_in_lite,
    clients.orm,
    clients.asynchronous,
)
