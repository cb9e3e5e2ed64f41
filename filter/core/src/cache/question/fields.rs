//! What the fields of a read's request are to the key. The numbers are those of milvus.proto.

/// The messages that the key looks into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `SearchRequest`.
    Search,
    /// `HybridSearchRequest`.
    HybridSearch,
    /// `QueryRequest`.
    Query,
    /// A `SearchRequest` in a `HybridSearchRequest`, of which Milvus ignores the consistency.
    Part,
    /// `SubSearchRequest`, in a `SearchRequest`.
    SubSearch,
}

/// What a field is. A field of another wire type than its own is an unknown one, as in protobuf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Part of the key as it is, as unknown fields are.
    Kept,
    /// Not part of the key.
    Ignored,
    Guarantee,
    Level,
    IsDefault,
    Database,
    Collection,
    /// A filter.
    Expression,
    /// A key and a value; their order makes no difference if the keys do.
    Parameter,
    /// A key and a value of a map.
    MapEntry,
    TravelTimestamp,
    /// Primary keys in place of vectors.
    Ids,
    /// Says that the vectors are those of rows.
    ByIds,
    FunctionScore,
    FunctionChain,
    /// A search in a search.
    Nested(Kind),
}

impl Kind {
    /// The role of a field whose value is a varint.
    pub fn of_varint(self, number: u32) -> Role {
        match (self, number) {
            (Self::Search | Self::Part, 10) | (Self::HybridSearch | Self::Query, 7) => {
                Role::TravelTimestamp
            }
            (Self::Search | Self::Part, 16) => Role::ByIds,
            (Self::Part, 11 | 14 | 15) => Role::Ignored,
            (Self::Search, 11) | (Self::HybridSearch | Self::Query, 8) => Role::Guarantee,
            (Self::Search, 14) | (Self::HybridSearch | Self::Query, 11) => Role::Level,
            (Self::Search, 15) | (Self::HybridSearch | Self::Query, 12) => Role::IsDefault,
            _ => Role::Kept,
        }
    }

    /// The role of a field whose value is a text or a message.
    pub fn of_bytes(self, number: u32) -> Role {
        match (self, number) {
            (Self::SubSearch, 1) | (Self::Search | Self::Part, 5) | (Self::Query, 4) => {
                Role::Expression
            }
            (Self::SubSearch, 4)
            | (Self::Search | Self::Part | Self::Query, 9)
            | (Self::HybridSearch, 6) => Role::Parameter,
            (Self::SubSearch, 6) | (Self::Search | Self::Part, 18) | (Self::Query, 13) => {
                Role::MapEntry
            }
            (Self::SubSearch, _) => Role::Kept,
            (_, 1) => Role::Ignored, // `base`
            (_, 2) => Role::Database,
            (_, 3) => Role::Collection,
            (Self::HybridSearch, 5) => Role::Nested(Self::Part),
            (Self::Search | Self::Part, 17) => Role::Nested(Self::SubSearch),
            (Self::Search | Self::Part, 19) | (Self::HybridSearch, 13) => Role::FunctionScore,
            (Self::Search | Self::Part, 22) => Role::Ids,
            (Self::Search | Self::Part, 24) | (Self::HybridSearch, 15) => Role::FunctionChain,
            _ => Role::Kept,
        }
    }
}
