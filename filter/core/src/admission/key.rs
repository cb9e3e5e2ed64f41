//! Names as numbers: what is counted has no texts in it, and a client cannot choose two names with one number.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::LazyLock;

static SECRET: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The hash of a name: SipHash, with a random key that is the same for the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u64);

impl Key {
    pub fn of(name: impl Hash) -> Self {
        Self(SECRET.hash_one(name))
    }

    /// The key of the bytes that `each` hands over one by one; they need not be in memory together.
    pub fn of_bytes(each: impl FnOnce(&mut dyn FnMut(u8))) -> Self {
        let mut hasher = SECRET.build_hasher();
        each(&mut |byte| hasher.write_u8(byte));
        Self(hasher.finish())
    }

    /// A number below `count`, for a place in a table.
    pub fn place(self, count: usize) -> usize {
        // The quotient cannot be as large as `count`.
        ((u128::from(self.0) * count as u128) >> 64) as usize
    }
}
