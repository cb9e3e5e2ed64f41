//! Which calls change what reads are answered from, beside rows.

use crate::milvus::call::Call;
use crate::milvus::rest_path::{rpc_of, OTHER};

/// Services that only say how Milvus is, or what it has.
const READING_SERVICES: [&[u8]; 2] = [b"/grpc.health.v1.Health/", b"/grpc.reflection."];
/// The last parts of the paths of Milvus's REST API that read (internal/distributed/proxy/httpserver/constant.go), beside
/// those that stand for an rpc of the catalogue.
const READING_ACTIONS: [&[u8]; 6] =
    [b"describe", b"get_load_state", b"get_progress", b"get_stats", b"has", b"list"];

/// Whether a gRPC call is structural. One that is not known may be.
pub fn is_structural_grpc(path: &[u8]) -> bool {
    match Call::of_grpc(Some(path)) {
        Call::Milvus(rpc) => rpc.is_structural,
        Call::OtherGrpc | Call::Rest => {
            !READING_SERVICES.iter().any(|service| path.starts_with(service))
        }
    }
}

/// Whether a REST call is structural. One that is not known may be.
pub fn is_structural_rest(path: &[u8]) -> bool {
    let name = rpc_of(path);
    if name != OTHER {
        return !matches!(Call::of_rest(name), Call::Milvus(rpc) if !rpc.is_structural);
    }
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let rest = path.strip_prefix(b"/v2/vectordb/").or_else(|| path.strip_prefix(b"/v1/vector/"));
    let Some(rest) = rest else { return true };
    // Milvus decodes a path before it looks it up: one with other characters may be another one.
    let is_plain = rest.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'_' | b'/'));
    let action = rest.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    !is_plain || !READING_ACTIONS.contains(&action)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grpc(method: &str) -> bool {
        is_structural_grpc(format!("/milvus.proto.milvus.MilvusService/{method}").as_bytes())
    }

    #[test]
    fn what_changes_names_schemas_loads_and_rights_is_structural() {
        for method in [
            "AddCollectionField",
            "AddCollectionFunction",
            "AddFileResource",
            "AlterAlias",
            "AlterCollection",
            "AlterCollectionSchema",
            "AlterDatabase",
            "AlterIndex",
            "CreateCredential",
            "CreateRowPolicy",
            "DeleteCredential",
            "DropAlias",
            "DropCollection",
            "DropDatabase",
            "DropIndex",
            "DropNamespace",
            "DropPartition",
            "OperatePrivilegeV2",
            "OperateUserRole",
            "ReleaseCollection",
            "ReleasePartitions",
            "RemoveFileResource",
            "RenameCollection",
            "ReplicateMessage",
            "RestoreExternalSnapshot",
            "RestoreSnapshot",
            "SetRLSPrincipalTags",
            "TruncateCollection",
            "UpdateReplicateConfiguration",
            "NoSuchMethod",
        ] {
            assert!(grpc(method), "{method}");
        }
    }

    #[test]
    fn reads_row_writes_loads_and_what_is_new_are_not() {
        for method in [
            "AllocTimestamp",
            "Connect",
            "CreateAlias",
            "CreateCollection",
            "CreateDatabase",
            "CreateIndex",
            "CreatePartition",
            "Delete",
            "DescribeCollection",
            "Flush",
            "GetVersion",
            "Insert",
            "ListCredUsers",
            "LoadCollection",
            "LoadPartitions",
            "Prewarm",
            "Query",
            "Search",
            "Upsert",
        ] {
            assert!(!grpc(method), "{method}");
        }
        assert!(!is_structural_grpc(b"/grpc.health.v1.Health/Check"));
        assert!(is_structural_grpc(b"/some.other.Service/List"));
        assert!(is_structural_grpc(b""));
    }

    #[test]
    fn rest_calls_are_told_apart_by_their_paths() {
        for path in [
            "/v2/vectordb/collections/drop",
            "/v2/vectordb/collections/rename?x=/list",
            "/v2/vectordb/collections/drop/",
            "/v2/vectordb/collections/%64rop",
            "/v2/vectordb/collections/drop%3f/list",
            "/v2/vectordb/collections/fields/add",
            "/v2/vectordb/roles/grant_privilege",
            "/v2/vectordb/users/create",
            "/v1/vector/collections/drop",
            "/v2/vectordb/jobs/import/create",
            "/v3/vectordb/collections/list",
            "/",
            "",
        ] {
            assert!(is_structural_rest(path.as_bytes()), "{path}");
        }
        for path in [
            "/v2/vectordb/collections/create",
            "/v2/vectordb/collections/load",
            "/v2/vectordb/collections/list",
            "/v2/vectordb/entities/search",
            "/v2/vectordb/entities/insert?dbName=drop",
            "/v2/vectordb/entities/delete",
            "/v2/vectordb/indexes/list",
            "/v2/vectordb/jobs/import/get_progress",
            "/v2/vectordb/partitions/has",
            "/v2/vectordb/users/list",
            "/v1/vector/collections",
            "/v1/vector/query",
        ] {
            assert!(!is_structural_rest(path.as_bytes()), "{path}");
        }
    }
}
