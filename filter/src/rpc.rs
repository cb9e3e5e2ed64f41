//! Which call a request is: from its path and content type to an entry of the table.

#![forbid(unsafe_code)]

use crate::filter::Stream;
use crate::rpc_table::TABLE;

/// What a call does, as the catalogue classifies it. The cache and the limits go by class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    AdminCluster,
    AdminRbac,
    AdminRead,
    Ddl,
    Health,
    Load,
    Maint,
    MetaRead,
    Read,
    ReadCpu,
    Replication,
    Session,
    Telemetry,
    Write,
    WriteBulk,
}

/// Where a response carries its `common.Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusAt {
    /// The response message is itself a `common.Status`.
    Message,
    /// In the field with this number.
    Field(u32),
    /// There is none, or the call streams.
    Nowhere,
}

/// One call of Milvus.
#[derive(Debug, PartialEq, Eq)]
pub struct Rpc {
    /// `Service/Method`, without the package: the key the table is sorted by.
    path: &'static str,
    /// The method's name, which no two services share.
    pub name: &'static str,
    pub class: Class,
    pub status: StatusAt,
}

impl Rpc {
    pub const fn new(
        path: &'static str,
        name: &'static str,
        class: Class,
        status: StatusAt,
    ) -> Self {
        Self { path, name, class, status }
    }

    /// The call at a `:path`. Allocates nothing.
    pub fn at(path: &[u8]) -> Option<&'static Self> {
        let key = path.strip_prefix(PACKAGE)?;
        let index = TABLE.binary_search_by(|rpc| rpc.path.as_bytes().cmp(key)).ok()?;
        Some(&TABLE[index])
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A call of the catalogue.
    Milvus(&'static Rpc),
    /// Any other gRPC call.
    OtherGrpc,
    /// Anything that is not gRPC: Milvus's REST API.
    Rest,
}

const PACKAGE: &[u8] = b"/milvus.proto.milvus.";

impl Call {
    /// Classifies the request of a stream.
    pub fn of_request(stream: &impl Stream) -> Self {
        let path = stream.request_header(":path").unwrap_or_default();
        Self::of(path, || stream.request_header("content-type").unwrap_or_default())
    }

    /// Classifies a request by its `:path`; its `content-type` is asked for only where the catalogue
    /// has no such path, since each header costs a call its time.
    fn of<'a>(path: &[u8], content_type: impl FnOnce() -> &'a [u8]) -> Self {
        match Rpc::at(path) {
            Some(rpc) => Self::Milvus(rpc),
            None if content_type().starts_with(b"application/grpc") => Self::OtherGrpc,
            None => Self::Rest,
        }
    }

    /// Every call, in the order of `slot`.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(Self::Milvus).chain([Self::OtherGrpc, Self::Rest])
    }

    /// A number of its own for every call, its place in `all`.
    pub fn slot(self) -> usize {
        match self {
            // Every `Rpc` is one of the table.
            Self::Milvus(rpc) => {
                let offset = std::ptr::from_ref(rpc) as usize - TABLE.as_ptr() as usize;
                offset / std::mem::size_of::<Rpc>()
            }
            Self::OtherGrpc => TABLE.len(),
            Self::Rest => TABLE.len() + 1,
        }
    }

    /// The value of the `rpc` label: bounded by the catalogue, whatever a client sends.
    pub fn label(self) -> &'static str {
        match self {
            Self::Milvus(rpc) => rpc.name,
            Self::OtherGrpc => "other",
            Self::Rest => "rest",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_a_slot_of_its_own() {
        let slots: Vec<usize> = Call::all().map(Call::slot).collect();

        assert_eq!((0..slots.len()).collect::<Vec<_>>(), slots);
    }

    #[test]
    fn every_call_of_the_table_is_found_by_its_path() {
        for rpc in &TABLE {
            let path = format!("/milvus.proto.milvus.{}", rpc.path);

            assert_eq!(Some(rpc), Rpc::at(path.as_bytes()));
        }
    }

    #[test]
    fn labels_are_unique_and_leave_room_for_other_and_rest() {
        let mut names: Vec<_> = TABLE.iter().map(|rpc| rpc.name).collect();
        names.extend(["other", "rest"]);
        names.sort_unstable();
        names.dedup();

        assert_eq!(TABLE.len() + 2, names.len());
    }

    #[test]
    fn a_search_is_a_read_whose_status_is_field_one() {
        let call = Call::of(b"/milvus.proto.milvus.MilvusService/Search", || b"application/grpc");

        let Call::Milvus(rpc) = call else { panic!("{call:?}") };
        assert_eq!((Class::Read, StatusAt::Field(1)), (rpc.class, rpc.status));
        assert_eq!("Search", call.label());
    }

    #[test]
    fn a_streaming_call_has_no_status_to_read() {
        let call =
            Call::of(b"/milvus.proto.milvus.MilvusService/DumpMessages", || b"application/grpc");

        let Call::Milvus(rpc) = call else { panic!("{call:?}") };
        assert_eq!(StatusAt::Nowhere, rpc.status);
    }

    #[test]
    fn unknown_grpc_paths_share_one_label() {
        for path in [
            &b"/milvus.proto.milvus.MilvusService/Nope"[..],
            b"/milvus.proto.milvus.MilvusService/search",
            b"/milvus.proto.milvus.MilvusService/Search/",
            b"/milvus.proto.milvus.",
            b"/grpc.health.v1.Health/Check",
            b"\xff\xfe",
            b"",
        ] {
            assert_eq!("other", Call::of(path, || b"application/grpc+proto").label());
        }
    }

    #[test]
    fn what_is_neither_a_known_rpc_nor_grpc_is_rest() {
        for content_type in [&b"application/json"[..], b"", b"text/html"] {
            let call = Call::of(b"/v2/vectordb/entities/search", || content_type);

            assert_eq!("rest", call.label());
        }
    }
}
