//! The users and collections for which Milvus has answered well.
//!
//! A stranger can send any number of names, so what is stored for a name that is not known here is bounded apart.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::admission::key::Key;

const SHARDS: usize = 8;
/// The most names of a shard. Past it, the half that was not used for longest is forgotten.
const MAX: usize = 8192;

/// A bounded set of names.
#[derive(Debug, Default)]
pub struct Known {
    shards: [Mutex<HashMap<Key, Instant>>; SHARDS],
}

impl Known {
    /// Whether `name` is known; it counts as used.
    pub fn contains(&self, name: Key, now: Instant) -> bool {
        self.shard(name, |names| match names.get_mut(&name) {
            Some(used) => {
                *used = now;
                true
            }
            None => false,
        })
    }

    pub fn insert(&self, name: Key, now: Instant) {
        self.shard(name, |names| {
            names.insert(name, now);
            if names.len() > MAX {
                let mut used: Vec<Instant> = names.values().copied().collect();
                let (_, median, _) = used.select_nth_unstable(MAX / 2);
                let median = *median;
                names.retain(|_, used| *used > median);
            }
        });
    }

    fn shard<T>(&self, name: Key, with: impl FnOnce(&mut HashMap<Key, Instant>) -> T) -> T {
        let shard = &self.shards[name.place(SHARDS)];
        with(&mut shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_name_is_known_once_it_is_inserted() {
        let (known, now) = (Known::default(), Instant::now());
        known.insert(Key::of("a"), now);

        assert!(known.contains(Key::of("a"), now));
        assert!(!known.contains(Key::of("b"), now));
    }

    #[test]
    fn a_million_names_are_bounded_and_one_in_use_stays() {
        let (known, began) = (Known::default(), Instant::now());
        known.insert(Key::of("used"), began);
        for number in 0..1_000_000_u64 {
            let now = began + Duration::from_millis(number);
            known.insert(Key::of(number), now);
            if number % 1000 == 0 {
                assert!(known.contains(Key::of("used"), now), "{number}");
            }
        }
        let count: usize = known.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(count <= SHARDS * MAX, "{count}");
    }
}
