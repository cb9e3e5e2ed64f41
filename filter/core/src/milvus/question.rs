//! What a request asks for: the names, the size of the question, and the consistency that the client wants.

pub use crate::milvus::name::Name;
use crate::wire::stream::{Field, Kind, Schema, Sink};

/// What a field of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuestionKey {
    Database,
    Collection,
    /// Each name in a field with several.
    Collections,
    Alias,
    NewDatabase,
    NewCollection,
    /// The name of a partition.
    Partition,
    /// The name of an output field.
    OutputField,
    Queries,
    Level,
    Guarantee,
    DefaultLevel,
    /// The number of rows of a write.
    Rows,
    /// One search of several (hybrid search).
    SubSearch,
    /// A key and a value of the search's or query's parameters.
    Parameter,
    ParameterKey,
    ParameterValue,
}

use QuestionKey as Key;

const KEY_VALUE: Schema<Key> =
    &[Field::new(1, Kind::Text(Key::ParameterKey)), Field::new(2, Kind::Text(Key::ParameterValue))];

const DATABASE: Field<Key> = Field::new(2, Kind::Text(Key::Database));
const COLLECTION: Field<Key> = Field::new(3, Kind::Text(Key::Collection));
const PARTITION: Field<Key> = Field::new(4, Kind::Length(Key::Partition));

/// The names in the request of a read or write.
pub const NAMES: Schema<Key> = &[DATABASE, COLLECTION];

/// `SearchRequest`, whose `sub_reqs` are `SubSearchRequest`.
pub const SEARCH: Schema<Key> = &[
    DATABASE,
    COLLECTION,
    PARTITION,
    Field::new(8, Kind::Length(Key::OutputField)),
    Field::new(9, Kind::Message(Key::Parameter, KEY_VALUE)),
    Field::new(11, Kind::Number(Key::Guarantee)),
    Field::new(12, Kind::Number(Key::Queries)),
    Field::new(14, Kind::Number(Key::Level)),
    Field::new(15, Kind::Number(Key::DefaultLevel)),
    Field::new(
        17,
        Kind::Message(
            Key::SubSearch,
            &[
                Field::new(4, Kind::Message(Key::Parameter, KEY_VALUE)),
                Field::new(5, Kind::Number(Key::Queries)),
            ],
        ),
    ),
];

/// `HybridSearchRequest`, whose `requests` are `SearchRequest`. The inner consistency levels do not count.
pub const HYBRID_SEARCH: Schema<Key> = &[
    DATABASE,
    COLLECTION,
    PARTITION,
    Field::new(
        5,
        Kind::Message(
            Key::SubSearch,
            &[
                Field::new(9, Kind::Message(Key::Parameter, KEY_VALUE)),
                Field::new(12, Kind::Number(Key::Queries)),
            ],
        ),
    ),
    Field::new(6, Kind::Message(Key::Parameter, KEY_VALUE)),
    Field::new(8, Kind::Number(Key::Guarantee)),
    Field::new(10, Kind::Length(Key::OutputField)),
    Field::new(11, Kind::Number(Key::Level)),
    Field::new(12, Kind::Number(Key::DefaultLevel)),
];

/// `QueryRequest`.
pub const QUERY: Schema<Key> = &[
    DATABASE,
    COLLECTION,
    Field::new(5, Kind::Length(Key::OutputField)),
    Field::new(6, Kind::Length(Key::Partition)),
    Field::new(8, Kind::Number(Key::Guarantee)),
    Field::new(9, Kind::Message(Key::Parameter, KEY_VALUE)),
    Field::new(11, Kind::Number(Key::Level)),
    Field::new(12, Kind::Number(Key::DefaultLevel)),
];

/// `InsertRequest` and `UpsertRequest`. Of a `DeleteRequest` only the answer tells how many rows.
pub const INSERT: Schema<Key> =
    &[DATABASE, COLLECTION, PARTITION, Field::new(7, Kind::Number(Key::Rows))];

/// The consistency that a read asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// That of the collection.
    Default,
    Strong,
    Session,
    Bounded,
    Eventually,
    Customized,
    /// A level that the filter does not know.
    Other,
}

/// What a request asks for, as far as it has been read. Fields that the request does not have are empty or 0.
#[derive(Debug, Default)]
pub struct Question {
    pub database: Name,
    /// The first one, if the request names several; the old name, if it renames one.
    pub collection: Name,
    /// How many the request names.
    pub collections: u64,
    pub alias: Name,
    /// The database that a collection is moved or restored to.
    pub new_database: Name,
    /// The name that a collection gets.
    pub new_collection: Name,
    /// How many the request names.
    pub partitions: u64,
    pub output_fields: u64,
    /// The number of query vectors (nq); of a hybrid search that of the largest of its searches.
    pub queries: u64,
    /// How many rows are wanted (for each query vector): `topk` or `limit`.
    pub limit: u64,
    /// The number of searches in a hybrid search; 0 for other reads.
    pub sub_searches: u64,
    /// The largest `topk` of them.
    pub sub_limit: u64,
    /// The rows that are written.
    pub rows: u64,
    /// Whether it is a page of an iterator.
    pub is_iterator: bool,
    /// The hybrid timestamp up to which the read must see all writes, as it was sent: 0, 1 and 2 stand for levels.
    pub guarantee: u64,
    level: u64,
    is_default_level: bool,
    is_in_sub_search: bool,
    parameter: Parameter,
}

impl Question {
    /// The consistency asked for, as Milvus's proxy reads it (`parseGuaranteeTs` for SDKs that know no levels).
    pub fn level(&self) -> Level {
        match (self.is_default_level, self.level, self.guarantee) {
            (true, ..) => Level::Default,
            (_, 0, 0) => Level::Strong,
            (_, 0, 1) | (_, 3, _) => Level::Eventually,
            (_, 0, 2) | (_, 2, _) => Level::Bounded,
            (_, 0 | 4, _) => Level::Customized,
            (_, 1, _) => Level::Session,
            _ => Level::Other,
        }
    }

    fn parameter(&mut self) {
        let value = self.parameter.value.bytes();
        match self.parameter.key.bytes() {
            b"topk" | b"limit" => {
                let number = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
                let limit =
                    if self.is_in_sub_search { &mut self.sub_limit } else { &mut self.limit };
                *limit = (*limit).max(number.unwrap_or(0));
            }
            b"iterator" | b"search_iter_v2" => {
                self.is_iterator |= value.eq_ignore_ascii_case(b"true");
            }
            _ => {}
        }
        self.parameter = Parameter::default();
    }
}

impl Sink<Key> for Question {
    fn number(&mut self, key: Key, value: u64) {
        match key {
            Key::Partition => self.partitions += 1,
            Key::OutputField => self.output_fields += 1,
            Key::Queries => self.queries = self.queries.max(value),
            Key::Level => self.level = value,
            Key::Guarantee => self.guarantee = value,
            Key::DefaultLevel => self.is_default_level = value != 0,
            Key::Rows => self.rows = value,
            _ => {}
        }
    }

    fn text(&mut self, key: Key, piece: &[u8], first: bool) {
        match key {
            Key::Database => self.database.push(piece, first),
            // Of a field with one value that is given twice, protobuf takes the last.
            Key::Collection => {
                self.collections = 1;
                self.collection.push(piece, first);
            }
            Key::Collections => {
                self.collections += u64::from(first);
                if self.collections == 1 {
                    self.collection.push(piece, first);
                }
            }
            Key::Alias => self.alias.push(piece, first),
            Key::NewDatabase => self.new_database.push(piece, first),
            Key::NewCollection => self.new_collection.push(piece, first),
            Key::ParameterKey => self.parameter.key.push(piece, first),
            Key::ParameterValue => self.parameter.value.push(piece, first),
            _ => {}
        }
    }

    fn begin(&mut self, key: Key) {
        if key == Key::SubSearch {
            self.sub_searches += 1;
            self.is_in_sub_search = true;
        }
    }

    fn end(&mut self, key: Key) {
        match key {
            Key::SubSearch => self.is_in_sub_search = false,
            Key::Parameter => self.parameter(),
            _ => {}
        }
    }
}

/// A parameter that is being read. Longer ones than fit are not among those that matter.
#[derive(Debug, Default)]
struct Parameter {
    key: Short<16>,
    value: Short<24>,
}

/// A text of at most `N` bytes; of a longer one nothing is known.
#[derive(Debug)]
struct Short<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Default for Short<N> {
    fn default() -> Self {
        Self { bytes: [0; N], length: 0 }
    }
}

impl<const N: usize> Short<N> {
    fn push(&mut self, piece: &[u8], first: bool) {
        if first {
            self.length = 0;
        }
        let end = self.length.saturating_add(piece.len());
        if let Some(place) = self.bytes.get_mut(self.length.min(N)..end) {
            place.copy_from_slice(piece);
        }
        self.length = end;
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_that_does_not_fit_is_unknown() {
        let mut text = Short::<4>::default();
        for (piece, first, bytes) in [
            (&b"ab"[..], true, &b"ab"[..]),
            (b"cd", false, b"abcd"),
            (b"e", false, b""),
            (b"f", false, b""),
            (b"ghijk", true, b""),
            (b"", true, b""),
            (b"xy", true, b"xy"),
        ] {
            text.push(piece, first);
            assert_eq!(bytes, text.bytes());
        }
    }

    #[test]
    fn the_level_is_the_one_that_milvus_would_take() {
        for (level, guarantee, expected) in [
            (0, 0, Level::Strong),
            (0, 1, Level::Eventually),
            (0, 2, Level::Bounded),
            (0, 1 << 60, Level::Customized),
            (1, 1, Level::Session),
            (2, 2, Level::Bounded),
            (3, 1, Level::Eventually),
            (4, 1 << 60, Level::Customized),
            (9, 0, Level::Other),
        ] {
            let mut question = Question { level, guarantee, ..Question::default() };
            assert_eq!(expected, question.level(), "{level} {guarantee}");
            question.is_default_level = true;
            assert_eq!(Level::Default, question.level());
        }
    }
}
