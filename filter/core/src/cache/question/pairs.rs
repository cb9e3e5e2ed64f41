//! Pairs of a key and a value, of which the order means nothing: the Go SDK sends them in a random one.

use crate::cache::question::sha256::Sha256;
use crate::wire::records::{Malformed, Records, Value};

/// A `KeyValuePair`, or an entry of a map, whose fields have the same numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair<'a> {
    pub key: &'a [u8],
    /// Empty, if it is not a text or a message.
    pub value: &'a [u8],
}

impl<'a> Pair<'a> {
    pub fn of(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut pair = Self::default();
        for record in Records::new(message) {
            let record = record?;
            match (record.number, record.value) {
                (1, Value::Bytes(bytes)) => pair.key = bytes,
                (2, Value::Bytes(bytes)) => pair.value = bytes,
                _ => {}
            }
        }
        Ok(pair)
    }
}

/// The pairs of one field, with their bytes on the wire.
#[derive(Debug, Default)]
pub struct Pairs<'a> {
    /// Key, place in the message, bytes.
    pairs: Vec<(&'a [u8], usize, &'a [u8])>,
}

impl<'a> Pairs<'a> {
    pub fn add(&mut self, key: &'a [u8], bytes: &'a [u8]) {
        self.pairs.push((key, self.pairs.len(), bytes));
    }

    /// Pushes how many there are and then each: sorted by key if all keys are distinct and `may_sort`, else in the order in
    /// which they were sent.
    pub fn push_into(mut self, hash: &mut Sha256, may_sort: impl Fn(&Self) -> bool) {
        hash.push(&(self.pairs.len() as u64).to_be_bytes());
        if may_sort(&self) {
            self.pairs.sort_unstable_by_key(|(key, place, _)| (*key, *place));
            if self.pairs.windows(2).any(|two| two[0].0 == two[1].0) {
                self.pairs.sort_unstable_by_key(|(_, place, _)| *place);
            }
        }
        for (_, _, bytes) in &self.pairs {
            hash.push(bytes);
        }
    }

    /// Whether no two keys can be the same to Milvus, which ignores the case of some, unless they have the same bytes.
    pub fn are_plain(&self) -> bool {
        self.pairs
            .iter()
            .all(|(key, ..)| key.iter().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(keys: &[(&'static str, &'static str)]) -> [u8; 32] {
        let mut pairs = Pairs::default();
        keys.iter().for_each(|(key, bytes)| pairs.add(key.as_bytes(), bytes.as_bytes()));
        let mut hash = Sha256::new();
        pairs.push_into(&mut hash, Pairs::are_plain);
        hash.finish()
    }

    #[test]
    fn the_order_counts_only_where_it_could_mean_something() {
        assert_eq!(digest(&[("a", "1"), ("b", "2")]), digest(&[("b", "2"), ("a", "1")]));
        // Of two pairs with one key Milvus takes the first, or the last.
        assert_ne!(digest(&[("a", "1"), ("a", "2")]), digest(&[("a", "2"), ("a", "1")]));
        assert_ne!(
            digest(&[("a", "1"), ("b", "3"), ("a", "2")]),
            digest(&[("a", "2"), ("b", "3"), ("a", "1")])
        );
        assert_ne!(digest(&[("a", "1"), ("A", "2")]), digest(&[("A", "2"), ("a", "1")]));
        assert_ne!(
            digest(&[("a", "1"), ("\u{212a}", "2")]),
            digest(&[("\u{212a}", "2"), ("a", "1")])
        );
    }

    #[test]
    fn the_last_key_of_a_pair_counts() {
        let pair = Pair::of(b"\x0a\x01a\x12\x01v\x08\x01\x0a\x01b").unwrap();

        assert_eq!(Pair { key: b"b", value: b"v" }, pair);
        assert_eq!(Err(Malformed), Pair::of(b"\x0a\x02a"));
    }
}
