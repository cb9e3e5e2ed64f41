//! The names that Milvus has vouched for, shared by the workers of a pool: what one worker has learned all know.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

/// Above so many all are forgotten, to be learned again: most would be of what is gone.
const MAX_NAMES: usize = 1_024;

/// A set of names.
#[derive(Debug, Default)]
pub struct Known(RwLock<HashSet<Box<[u8]>>>);

impl Known {
    pub fn add(&self, name: &[u8]) {
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= MAX_NAMES && !names.contains(name) {
            names.clear();
        }
        names.insert(name.into());
    }

    pub fn has(&self, name: &[u8]) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_once_they_are_added_and_bounded() {
        let known = Known::default();
        known.add(b"books");
        assert!(known.has(b"books") && !known.has(b"birds"));

        for number in 0..2 * MAX_NAMES {
            known.add(number.to_string().as_bytes());
        }

        assert!(known.0.read().unwrap().len() <= MAX_NAMES && !known.has(b"books"));
        assert!(known.has((2 * MAX_NAMES - 1).to_string().as_bytes()));
    }
}
