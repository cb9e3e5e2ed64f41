//! What an answer says: Milvus's own status, and the number of rows.

use crate::wire::stream::{Field, Kind, Schema, Sink};

/// What a field of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerKey {
    Status,
    ErrorCode,
    Code,
    /// A number of rows, to be added to the others.
    Rows,
    /// A message on the way to one of the others.
    Inside,
    /// A column of a query's result. Its values are those of one type.
    Column,
    /// A number of values, to be added.
    Values,
    /// The bytes of values of one byte each.
    Bytes1,
    /// The bytes of a packed list of four-byte values.
    Bytes4,
    /// The bytes of values of eight bytes each.
    Bytes8,
    /// One value.
    Value,
}

use AnswerKey as Key;

/// `common.Status`.
pub const STATUS: Schema<Key> =
    &[Field::new(1, Kind::Number(Key::ErrorCode)), Field::new(3, Kind::Number(Key::Code))];

/// Where almost every response has its status.
pub const STATUS_FIRST: Field<Key> = Field::new(1, Kind::Message(Key::Status, STATUS));

/// `SearchResults`, whose `results.topks` are the numbers of rows by query vector.
pub const SEARCH_RESULTS: Schema<Key> = &[
    STATUS_FIRST,
    Field::new(2, Kind::Message(Key::Inside, &[Field::new(6, Kind::Numbers(Key::Rows))])),
];

/// `MutationResult`: `insert_cnt`, `delete_cnt` and `upsert_cnt`.
pub const MUTATION_RESULT: Schema<Key> = &[
    STATUS_FIRST,
    Field::new(6, Kind::Number(Key::Rows)),
    Field::new(7, Kind::Number(Key::Rows)),
    Field::new(8, Kind::Number(Key::Rows)),
];

/// `QueryResults`, whose `fields_data` are columns.
pub const QUERY_RESULTS: Schema<Key> = &[
    STATUS_FIRST,
    Field::new(
        2,
        Kind::Message(Key::Column, &[Field::new(3, Kind::Message(Key::Inside, SCALARS))]),
    ),
];

/// `ScalarField`: one array, by the type of its values; each has them in field 1. Vectors are not looked at, since every
/// result has its primary key.
const SCALARS: Schema<Key> = &[
    Field::new(1, Kind::Message(Key::Inside, &[Field::new(1, Kind::Length(Key::Bytes1))])),
    Field::new(2, Kind::Message(Key::Inside, VARINTS)),
    Field::new(3, Kind::Message(Key::Inside, VARINTS)),
    Field::new(4, Kind::Message(Key::Inside, &[Field::new(1, Kind::Length(Key::Bytes4))])),
    Field::new(5, Kind::Message(Key::Inside, &[Field::new(1, Kind::Length(Key::Bytes8))])),
    Field::new(6, Kind::Message(Key::Inside, VALUES)),
    Field::new(7, Kind::Message(Key::Inside, VALUES)),
    Field::new(8, Kind::Message(Key::Inside, VALUES)),
    Field::new(9, Kind::Message(Key::Inside, VALUES)),
];
const VARINTS: Schema<Key> = &[Field::new(1, Kind::PackedVarints(Key::Values))];
const VALUES: Schema<Key> = &[Field::new(1, Kind::Length(Key::Value))];

/// What an answer says, as far as it has been read.
#[derive(Debug, Default)]
pub struct Answer {
    /// merr's code; 0 is success.
    pub code: u64,
    /// The deprecated `ErrorCode`, from servers that know no `code`; 0 is success.
    pub error_code: u64,
    /// The rows found, or written.
    pub rows: u64,
    column: u64,
}

impl Sink<Key> for Answer {
    fn number(&mut self, key: Key, value: u64) {
        match key {
            Key::ErrorCode => self.error_code = value,
            Key::Code => self.code = value,
            Key::Rows => self.rows = self.rows.saturating_add(value),
            Key::Values | Key::Bytes1 => self.column = self.column.saturating_add(value),
            Key::Bytes4 => self.column = self.column.saturating_add(value / 4),
            Key::Bytes8 => self.column = self.column.saturating_add(value / 8),
            Key::Value => self.column = self.column.saturating_add(1),
            Key::Status | Key::Inside | Key::Column => {}
        }
    }

    fn text(&mut self, _key: Key, _piece: &[u8], _first: bool) {}

    fn begin(&mut self, key: Key) {
        if key == Key::Column {
            self.column = 0;
        }
    }

    fn end(&mut self, key: Key) {
        if key == Key::Column {
            self.rows = self.rows.max(self.column);
        }
    }
}
