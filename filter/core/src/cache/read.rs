//! What the cache must know of a read.

use crate::cache::caller::Caller;
use crate::cache::question::glance::Asker;

/// Milvus's consistency levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Strong,
    Session,
    Bounded,
    Eventually,
    Customized,
}

/// A read that the cache may answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The SHA-256 of everything that the answer depends on, except the pool, the level and the guarantee.
    pub key: [u8; 32],
    /// The SHA-256 of the database, the collection and the headers in `key`. The answer to a DescribeCollection belongs
    /// to it: another user may see another collection.
    pub collection_key: [u8; 32],
    pub caller: Caller,
    /// For the terms and the pace alone.
    pub database: String,
    /// As `database`.
    pub collection: String,
    /// The level that the request states; None: it sets `use_default_consistency`.
    pub level: Option<Level>,
    /// The guarantee timestamp as it was sent.
    pub guarantee: u64,
    pub asker: Asker,
    /// A quick look has found that the question was asked a moment ago.
    pub is_repeated: bool,
}

/// What a DescribeCollection says of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The default level.
    pub level: Level,
    /// Its rows expire, so an answer may be wrong although nothing was written.
    pub has_ttl: bool,
    /// Its data is outside Milvus, whose timestamps say nothing of it.
    pub is_external: bool,
}
