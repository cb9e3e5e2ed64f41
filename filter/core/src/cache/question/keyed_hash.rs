//! A hash that is far cheaper than SHA-256, with a key of this process. Whoever knows the key can make different inputs with the same
//! hash, so it never stands for what was hashed: it only says where to look.

use std::collections::hash_map::RandomState;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::LazyLock;

/// A table whose keys have digests. Rust's own hash takes five times as long.
pub type DigestMap<Key, Value> = HashMap<Key, Value, BuildHasherDefault<KeyedHasher>>;

/// The key of the hashes. A client that does not know it cannot make different questions with the same hash.
pub static SECRET: LazyLock<[u64; 2]> =
    LazyLock::new(|| [1, 2].map(|number: u64| RandomState::new().hash_one(number)));

/// A hash of sixteen bytes at a time, as wyhash makes it. The last sixteen may overlap those before them.
pub fn hash(bytes: &[u8]) -> u64 {
    let [first, second] = *SECRET;
    let mut state = first ^ bytes.len() as u64;
    let (low, high) = match bytes {
        [.., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] => {
            let (blocks, last) = (&bytes[..bytes.len() - 1], &bytes[bytes.len() - 16..]);
            for block in blocks.chunks_exact(16) {
                state = fold(eight(block) ^ second, eight(&block[8..]) ^ state);
            }
            (eight(last), eight(&last[8..]))
        }
        [_, _, _, _, _, _, _, _, ..] => (eight(bytes), eight(&bytes[bytes.len() - 8..])),
        [_, _, _, _, ..] => (four(bytes), four(&bytes[bytes.len() - 4..])),
        [one, .., other] => (u64::from(*one), u64::from(*other) << 8 | u64::from(bytes[1])),
        [one] => (u64::from(*one), 0),
        [] => (0, 0),
    };
    fold(low ^ second, high ^ state)
}

fn eight(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

fn four(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |chunk| u64::from(u32::from_le_bytes(*chunk)))
}

/// The two halves of the product, folded into one.
pub fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

/// The hash of the keys of a `DigestMap`.
#[derive(Debug, Default)]
pub struct KeyedHasher(u64);

impl Hasher for KeyedHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = fold(self.0 ^ hash(bytes), SECRET[0]);
    }

    fn write_u8(&mut self, number: u8) {
        self.write_usize(number.into());
    }

    fn write_usize(&mut self, number: usize) {
        self.0 = fold(self.0 ^ number as u64 ^ SECRET[0], SECRET[1]);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_byte_counts() {
        let question: Vec<u8> = (0..100).collect();
        let mut seen = HashSet::from([hash(&question)]);
        for length in 0..question.len() {
            assert!(seen.insert(hash(&question[..length])));
            let mut other = question.clone();
            other[length] ^= 1;
            assert!(seen.insert(hash(&other)));
        }
    }

    #[test]
    fn keys_that_differ_have_different_hashes() {
        let hasher = BuildHasherDefault::<KeyedHasher>::default();
        let mut seen = HashSet::new();
        for number in 0..1000_u16 {
            let mut digest = [0; 32];
            digest[usize::from(number % 16) * 2..][..2]
                .copy_from_slice(&(number + 1).to_le_bytes());
            for flag in [false, true] {
                assert!(seen.insert(hasher.hash_one((digest, flag))));
            }
        }
    }
}
