//! Which fields of a message are wanted, and the sink that gets them.

/// The wanted fields of a message type.
pub type Schema<K> = &'static [Field<K>];

/// A wanted field: its number, and what the sink gets of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Field<K: 'static> {
    pub number: u32,
    pub kind: Kind<K>,
}

impl<K> Field<K> {
    pub const fn new(number: u32, kind: Kind<K>) -> Self {
        Self { number, kind }
    }
}

/// What is wanted of the field `number`. Schemas are in the order of their numbers.
pub fn kind_of<K: Copy>(schema: Schema<K>, number: u64) -> Option<Kind<K>> {
    let field = schema.iter().find(|field| u64::from(field.number) >= number)?;
    (u64::from(field.number) == number).then_some(field.kind)
}

/// What the sink gets of a field. A field of another wire type is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<K: 'static> {
    /// The value of a varint.
    Number(K),
    /// The values of a repeated varint field, one by one; packed or not.
    Numbers(K),
    /// How many varints a packed field has, in one or more numbers to be added.
    PackedVarints(K),
    /// The length in bytes of each string, bytes or message.
    Length(K),
    /// The bytes of a string.
    Text(K),
    /// A message whose own fields are wanted; its beginning and its end.
    Message(K, Schema<K>),
}

/// Gets the wanted fields of a message.
pub trait Sink<K> {
    /// A value of `Kind::Number`, `Numbers`, `PackedVarints` or `Length`.
    fn number(&mut self, key: K, value: u64);
    /// A piece of a text; `first` begins a new one. An empty text has one empty piece.
    fn text(&mut self, key: K, piece: &[u8], first: bool);
    /// A `Kind::Message` begins.
    fn begin(&mut self, key: K);
    /// It ends.
    fn end(&mut self, key: K);
}
