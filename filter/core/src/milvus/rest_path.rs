//! The paths of Milvus's REST API, and the rpcs that they stand for.

/// Paths of version 2 after `/v2/vectordb/`, and the rpcs that they stand for.
const V2: [(&str, &str); 36] = [
    ("aliases/alter", "AlterAlias"),
    ("aliases/create", "CreateAlias"),
    ("aliases/describe", "DescribeAlias"),
    ("aliases/drop", "DropAlias"),
    ("aliases/list", "ListAliases"),
    ("collections/alter_properties", "AlterCollection"),
    ("collections/compact", "ManualCompaction"),
    ("collections/create", "CreateCollection"),
    ("collections/describe", "DescribeCollection"),
    ("collections/drop", "DropCollection"),
    ("collections/flush", "Flush"),
    ("collections/get_load_state", "GetLoadState"),
    ("collections/get_stats", "GetCollectionStatistics"),
    ("collections/has", "HasCollection"),
    ("collections/list", "ShowCollections"),
    ("collections/load", "LoadCollection"),
    ("collections/release", "ReleaseCollection"),
    ("collections/rename", "RenameCollection"),
    ("databases/create", "CreateDatabase"),
    ("databases/describe", "DescribeDatabase"),
    ("databases/drop", "DropDatabase"),
    ("databases/list", "ListDatabases"),
    ("entities/advanced_search", "HybridSearch"),
    ("entities/delete", "Delete"),
    ("entities/get", "Query"),
    ("entities/hybrid_search", "HybridSearch"),
    ("entities/insert", "Insert"),
    ("entities/query", "Query"),
    ("entities/search", "Search"),
    ("entities/upsert", "Upsert"),
    ("indexes/create", "CreateIndex"),
    ("indexes/describe", "DescribeIndex"),
    ("indexes/drop", "DropIndex"),
    ("partitions/create", "CreatePartition"),
    ("partitions/drop", "DropPartition"),
    ("partitions/list", "ShowPartitions"),
];
/// The same of version 1, after `/v1/vector/`.
const V1: [(&str, &str); 10] = [
    ("collections", "ShowCollections"),
    ("collections/create", "CreateCollection"),
    ("collections/describe", "DescribeCollection"),
    ("collections/drop", "DropCollection"),
    ("delete", "Delete"),
    ("get", "Query"),
    ("insert", "Insert"),
    ("query", "Query"),
    ("search", "Search"),
    ("upsert", "Upsert"),
];
/// Every other path.
pub const OTHER: &str = "rest";

/// The name of the rpc that a `:path` stands for.
pub fn rpc_of(path: &[u8]) -> &'static str {
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let in_table = |prefix: &[u8], table: &[(&str, &'static str)]| {
        let rest = path.strip_prefix(prefix)?;
        let place = table.binary_search_by(|(path, _)| path.as_bytes().cmp(rest)).ok()?;
        Some(table[place].1)
    };
    in_table(b"/v2/vectordb/", &V2).or_else(|| in_table(b"/v1/vector/", &V1)).unwrap_or(OTHER)
}

/// The header that names the database of a request whose body names none (`HTTPHeaderDBName`): version 1 has none.
pub fn database_header(path: &[u8]) -> Option<&'static str> {
    path.starts_with(b"/v2/").then_some("db-name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rpc_is_known_by_the_path() {
        for (path, rpc) in [
            ("/v2/vectordb/entities/search", "Search"),
            ("/v2/vectordb/collections/create", "CreateCollection"),
            ("/v1/vector/insert", "Insert"),
            ("/v1/vector/collections?dbName=d", "ShowCollections"),
            ("/v1/vector/collections/describe?collectionName=c", "DescribeCollection"),
            ("/v2/vectordb/entities/nope", "rest"),
            ("/v2/vectordb/entities/search/", "rest"),
            ("/", "rest"),
            ("", "rest"),
        ] {
            assert_eq!(rpc, rpc_of(path.as_bytes()), "{path}");
        }
        assert!(V1.is_sorted() && V2.is_sorted());
    }
}
