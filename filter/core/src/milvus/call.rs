//! Which call a request is, from its path.

use crate::milvus::rpc::Rpc;
use crate::milvus::rpc_table::TABLE;

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

/// The rpc at a `:path`. Allocates nothing. Few rpcs have paths of the same length, so few are compared byte by byte.
fn find(path: &[u8]) -> Option<&'static Rpc> {
    let index = TABLE.binary_search_by(|rpc| rpc.key().cmp(&(path.len(), path))).ok()?;
    Some(&TABLE[index])
}

impl Call {
    /// Classifies a gRPC request by its `:path`. The caller knows from its place that the request is gRPC.
    pub fn of_grpc(path: Option<&[u8]>) -> Self {
        path.and_then(find).map_or(Self::OtherGrpc, Self::Milvus)
    }

    /// The call with the name of an rpc, for REST requests, of which each stands for an rpc.
    pub fn of_rest(name: &str) -> Self {
        TABLE.iter().find(|rpc| rpc.name == name).map_or(Self::Rest, Self::Milvus)
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
    use crate::milvus::rpc::{Class, MilvusStatusLocation};

    #[test]
    fn every_call_has_a_slot_of_its_own() {
        let slots: Vec<usize> = Call::all().map(Call::slot).collect();

        assert_eq!((0..slots.len()).collect::<Vec<_>>(), slots);
    }

    #[test]
    fn every_call_of_the_table_is_found_by_its_path() {
        for rpc in &TABLE {
            assert_eq!(Some(rpc), find(rpc.key().1));
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

    fn call(path: &str) -> Call {
        Call::of_grpc(Some(path.as_bytes()))
    }

    #[test]
    fn a_search_is_a_read_whose_status_is_field_one() {
        let call = call("/milvus.proto.milvus.MilvusService/Search");

        let Call::Milvus(rpc) = call else { panic!("{call:?}") };
        assert_eq!(
            (Class::Read, true, MilvusStatusLocation::Field(1)),
            (rpc.class, rpc.repeatable, rpc.milvus_status)
        );
        assert_eq!("Search", call.label());
    }

    #[test]
    fn a_streaming_call_has_no_status_to_read() {
        let call = call("/milvus.proto.milvus.MilvusService/DumpMessages");

        let Call::Milvus(rpc) = call else { panic!("{call:?}") };
        assert_eq!((false, MilvusStatusLocation::Nowhere), (rpc.repeatable, rpc.milvus_status));
    }

    #[test]
    fn the_health_of_grpc_is_known_by_its_own_package() {
        for (path, label) in
            [("/grpc.health.v1.Health/Check", "Check"), ("/grpc.health.v1.Health/Watch", "Watch")]
        {
            let Call::Milvus(rpc) = call(path) else { panic!("{path}") };
            assert_eq!((Class::Health, label), (rpc.class, rpc.name));
        }
    }

    #[test]
    fn unknown_paths_share_one_label() {
        for path in [
            "/milvus.proto.milvus.MilvusService/Nope",
            "/milvus.proto.milvus.MilvusService/search",
            "/milvus.proto.milvus.MilvusService/Search/",
            "/milvus.proto.milvus.",
            "/milvus.proto.milvus.Health/Check",
            "\u{ff}",
            "",
        ] {
            assert_eq!("other", call(path).label());
        }
        assert_eq!("other", Call::of_grpc(None).label());
    }
}
