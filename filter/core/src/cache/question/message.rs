//! The message of a read: what it asks for, and its part of the key.
//!
//! The part of the key is unambiguous. A field is pushed as it was sent; protobuf delimits it. No field begins with a zero
//! byte, so a zero byte begins what is not a field: a nested search, or, at the end of a message, the number of pairs.

use crate::cache::question::fields::{Kind, Role};
use crate::cache::question::level::Wanted;
use crate::cache::question::pairs::{Pair, Pairs};
use crate::cache::question::rules;
use crate::cache::question::sha256::Sha256;
use crate::cache::reason::Reason;
use crate::wire::records::{Malformed, Records, Value};

/// Begins a nested search. The eight bytes of a number of pairs begin otherwise.
const NESTED: [u8; 2] = [0, 1];

impl From<Malformed> for Reason {
    fn from(_: Malformed) -> Self {
        Self::Unreadable
    }
}

/// What a message asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked<'a> {
    pub wanted: Wanted,
    /// As the message names it; empty: it does not.
    pub database: &'a [u8],
    pub collection: &'a [u8],
    /// What the searches in a hybrid search name.
    pub(super) parts: Named<'a>,
}

/// What several messages name, where they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Named<'a> {
    database: &'a [u8],
    collection: &'a [u8],
    /// Two of them name two databases or collections.
    is_ambiguous: bool,
}

impl<'a> Named<'a> {
    fn add(&mut self, part: &Asked<'a>) {
        for (all, name) in
            [(&mut self.database, part.database), (&mut self.collection, part.collection)]
        {
            if !name.is_empty() {
                self.is_ambiguous |= !all.is_empty() && *all != name;
                *all = name;
            }
        }
    }
}

impl Asked<'_> {
    /// Whether every search in the search is of the `database` and of the message's collection.
    pub fn is_of_one_collection(&self, database: &[u8]) -> bool {
        let is_like = |name: &[u8], whole: &[u8]| name.is_empty() || name == whole;
        !self.parts.is_ambiguous
            && is_like(self.parts.database, database)
            && is_like(self.parts.collection, self.collection)
    }
}

/// Reads a message to its end and pushes its part of the key; or says why its answer is not kept.
pub fn read<'a>(kind: Kind, message: &'a [u8], hash: &mut Sha256) -> Result<Asked<'a>, Reason> {
    let mut asked = Asked::default();
    let (mut parameters, mut entries) = (Pairs::default(), Pairs::default());
    for record in Records::new(message) {
        let record = record?;
        let role = match record.value {
            Value::Varint(value) => {
                let role = kind.of_varint(record.number);
                take_number(&mut asked.wanted, role, value)?;
                role
            }
            Value::Bytes(bytes) => {
                let role = kind.of_bytes(record.number);
                match role {
                    Role::Database => asked.database = bytes,
                    Role::Collection => asked.collection = bytes,
                    Role::Expression => rules::check_text(bytes)?,
                    Role::Parameter => {
                        let pair = Pair::of(bytes)?;
                        rules::check_parameter(&pair)?;
                        parameters.add(pair.key, record.bytes);
                    }
                    Role::MapEntry => entries.add(Pair::of(bytes)?.key, record.bytes),
                    Role::FunctionScore => rules::check_function_score(bytes)?,
                    Role::FunctionChain => return Err(Reason::FunctionChain),
                    Role::Ids => return Err(Reason::Ids),
                    Role::Nested(kind) => {
                        hash.push(&NESTED);
                        asked.parts.add(&read(kind, bytes, hash)?);
                    }
                    _ => {}
                }
                role
            }
            Value::Fixed => Role::Kept,
        };
        if role.is_pushed_as_sent() {
            hash.push(record.bytes);
        }
    }
    parameters.push_into(hash, Pairs::are_plain);
    entries.push_into(hash, |_| true);
    Ok(asked)
}

fn take_number(wanted: &mut Wanted, role: Role, value: u64) -> Result<(), Reason> {
    match role {
        Role::Guarantee => wanted.guarantee = value,
        Role::Level => wanted.level = value,
        Role::IsDefault => wanted.is_default = value != 0,
        Role::TravelTimestamp if value != 0 => return Err(Reason::TimeTravel),
        Role::ByIds if value != 0 => return Err(Reason::Ids),
        _ => {}
    }
    Ok(())
}

impl Role {
    fn is_pushed_as_sent(self) -> bool {
        !matches!(
            self,
            Self::Ignored
                | Self::Guarantee
                | Self::Level
                | Self::IsDefault
                | Self::Parameter
                | Self::MapEntry
                | Self::Nested(_)
        )
    }
}
