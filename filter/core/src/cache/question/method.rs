//! Which rpcs are reads that may be cached.

use crate::cache::question::fields::Kind;
use crate::milvus::rpc::{Class, Rpc};

/// The reads that may be cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Search,
    HybridSearch,
    Query,
}

impl Method {
    /// None: an rpc that is no read.
    pub fn of(rpc: &Rpc) -> Option<Self> {
        match (rpc.class, rpc.name) {
            (Class::Read, "Search") => Some(Self::Search),
            (Class::Read, "HybridSearch") => Some(Self::HybridSearch),
            (Class::Read, "Query") => Some(Self::Query),
            _ => None,
        }
    }

    pub fn kind(self) -> Kind {
        match self {
            Self::Search => Kind::Search,
            Self::HybridSearch => Kind::HybridSearch,
            Self::Query => Kind::Query,
        }
    }
}
