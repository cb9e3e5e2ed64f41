//! A quick look at a read: enough to recognize a question that was asked a moment ago, and far cheaper than its key.
//!
//! Two questions that differ may look alike, and two that have the same key may not. So it never decides what a read is
//! answered with: it only decides whether the key is computed at all.

use crate::cache::question::fields::{Kind, Role};
use crate::cache::question::keyed_hash::{fold, hash, SECRET};
use crate::cache::question::method::Method;
use crate::wire::records::{Malformed, Records, Value};

/// The credentials of a request, by a hash with a key of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Credentials(pub u64);

/// Who asks which collection: the credentials, and the names in the message. It is a hash with a key of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asker(pub u64);

/// What a quick look sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    pub credentials: Credentials,
    pub asker: Asker,
    /// A hash, with the same key, of the asker and the question: of all fields but the base and the consistency, in any order.
    pub question: u64,
}

/// Looks at the whole message of a request with these credentials; None: it cannot be read.
pub fn glance(method: Method, credentials: Credentials, message: &[u8]) -> Option<Glance> {
    let mut seen = Seen::default();
    seen.look_at(method.kind(), message).ok()?;
    let asker = Asker::of(credentials, seen.database, seen.collection);
    let question = fold(seen.fields ^ asker.0, SECRET[method as usize % 2]);
    Some(Glance { credentials, asker, question })
}

impl Credentials {
    /// A missing header counts as a value.
    pub fn of(authorization: Option<&[u8]>) -> Self {
        Self(authorization.map_or(0, hash))
    }
}

impl Asker {
    /// `database` and `collection` are those that the message names; empty: it names none.
    pub fn of(credentials: Credentials, database: &[u8], collection: &[u8]) -> Self {
        let of_database = fold(credentials.0 ^ hash(database), SECRET[1]);
        Self(fold(of_database ^ hash(collection), SECRET[1]))
    }
}

#[derive(Default)]
struct Seen<'a> {
    database: &'a [u8],
    collection: &'a [u8],
    /// The sum of the fields' hashes: the Go SDK sends parameters in a random order.
    fields: u64,
}

impl<'a> Seen<'a> {
    fn look_at(&mut self, kind: Kind, message: &'a [u8]) -> Result<(), Malformed> {
        for record in Records::new(message) {
            let record = record?;
            let role = match record.value {
                Value::Varint(_) => kind.of_varint(record.number),
                Value::Bytes(_) => kind.of_bytes(record.number),
                Value::Fixed => Role::Kept,
            };
            match (role, record.value) {
                (Role::Ignored | Role::Guarantee | Role::Level | Role::IsDefault, _) => continue,
                (Role::Nested(kind), Value::Bytes(bytes)) => {
                    let mut part = Seen::default();
                    part.look_at(kind, bytes)?;
                    self.fields = self.fields.wrapping_add(fold(part.fields, SECRET[0]));
                    continue;
                }
                (Role::Database, Value::Bytes(name)) => self.database = name,
                (Role::Collection, Value::Bytes(name)) => self.collection = name,
                _ => {}
            }
            self.fields = self.fields.wrapping_add(hash(record.bytes));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::wire::encode::{delimited, varint};

    #[test]
    fn the_asker_is_who_asks_which_collection_whatever_the_question_is() {
        let message = |number| {
            [delimited(2, b"d"), delimited(3, b"books"), delimited(4, &[number; 40])].concat()
        };
        let [nobody, one, other] = [None, Some(&b"a"[..]), Some(b"b")].map(Credentials::of);
        let seen = |number| glance(Method::Search, one, &message(number)).unwrap();

        assert_eq!(seen(1).asker, seen(2).asker);
        assert_ne!(seen(1).question, seen(2).question);
        assert_eq!(Asker::of(one, b"d", b"books"), seen(1).asker);
        let askers = HashSet::from([
            Asker::of(nobody, b"d", b"books"),
            Asker::of(one, b"d", b"books"),
            Asker::of(other, b"d", b"books"),
            Asker::of(one, b"books", b"d"),
            Asker::of(one, b"dbooks", b""),
        ]);
        assert_eq!(5, askers.len());
    }

    #[test]
    fn what_is_cut_is_not_looked_at() {
        let nobody = Credentials::of(None);
        assert_eq!(None, glance(Method::Query, nobody, &delimited(3, b"books")[..3]));
        assert!(glance(Method::Query, nobody, &varint(7, 1)).is_some());
    }
}
