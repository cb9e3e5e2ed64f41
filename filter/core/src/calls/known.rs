//! The names that Milvus has vouched for, shared by the workers of a pool: what one worker has learned all know.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

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

    pub fn remove(&self, name: &[u8]) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    pub fn has(&self, name: &[u8]) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(name)
    }
}

/// The names that Milvus has said not to know any more. There are few, and mostly none.
#[derive(Debug, Default)]
pub struct Gone {
    names: Mutex<HashSet<Box<[u8]>>>,
    number: AtomicUsize,
}

impl Gone {
    pub fn add(&self, name: &[u8]) {
        let mut names = self.lock();
        if names.len() < MAX_NAMES && !names.contains(name) {
            names.insert(name.into());
            self.number.store(names.len(), Ordering::Relaxed);
        }
    }

    pub fn remove(&self, name: &[u8]) {
        if self.number.load(Ordering::Relaxed) > 0 {
            let mut names = self.lock();
            names.remove(name);
            self.number.store(names.len(), Ordering::Relaxed);
        }
    }

    pub fn has(&self, name: &[u8]) -> bool {
        self.lock().contains(name)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Box<[u8]>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
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
