//! What became of reads, counted in all and by collection.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cache::reason::Reason;

/// The most collections that have counts of their own, the first ones.
const MOST_COLLECTIONS: usize = 256;
const MOST_HEADERS: usize = 16;
/// The longest name of a header that is noted.
const LONGEST_HEADER: usize = 64;
const REASONS: usize = Reason::ALL.len();

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Hit,
    Joined,
    Miss,
    Bypass(Reason),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub hit: u64,
    pub joined: u64,
    pub miss: u64,
    pub bypass: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionCounts {
    pub database: String,
    pub collection: String,
    pub counts: Counts,
}

#[derive(Debug)]
pub struct Outcomes {
    bypasses: [AtomicU64; REASONS],
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    all: Counts,
    /// By database and collection.
    collections: HashMap<String, HashMap<String, Counts>>,
    number: usize,
    headers: BTreeSet<String>,
}

impl Default for Outcomes {
    fn default() -> Self {
        Self { bypasses: [const { AtomicU64::new(0) }; REASONS], state: Mutex::default() }
    }
}

impl Outcomes {
    /// Counts a read. A collection that `exists` has counts of its own from then on: names that strangers invent have none.
    pub fn count(&self, word: Word, database: &str, collection: &str, exists: bool) {
        if let Word::Bypass(reason) = word {
            self.bypasses[reason as usize].fetch_add(1, Ordering::Relaxed);
        }
        let mut guard = self.lock();
        let state = &mut *guard;
        state.all.add(word);
        let known = state.collections.get_mut(database).and_then(|each| each.get_mut(collection));
        if let Some(counts) = known {
            counts.add(word);
        } else if exists && state.number < MOST_COLLECTIONS {
            state.number += 1;
            let collections = state.collections.entry(database.to_owned()).or_default();
            collections.entry(collection.to_owned()).or_default().add(word);
        }
    }

    /// Notes a header that keeps the reads of clients apart.
    pub fn keeps_apart(&self, header: &str) {
        let mut state = self.lock();
        let is_new = !state.headers.contains(header);
        if is_new && state.headers.len() < MOST_HEADERS && header.len() <= LONGEST_HEADER {
            state.headers.insert(header.to_owned());
        }
    }

    pub fn all(&self) -> Counts {
        self.lock().all
    }

    /// How many reads were sent unchanged, by reason; reasons without any are left out.
    pub fn bypasses(&self) -> Vec<(Reason, u64)> {
        let counted = Reason::ALL.iter().zip(&self.bypasses);
        let counted = counted.map(|(reason, count)| (*reason, count.load(Ordering::Relaxed)));
        counted.filter(|(_, count)| *count > 0).collect()
    }

    pub fn collections(&self) -> Vec<CollectionCounts> {
        let state = self.lock();
        let mut found = Vec::with_capacity(state.number);
        for (database, collections) in &state.collections {
            for (collection, counts) in collections {
                let (database, collection) = (database.clone(), collection.clone());
                found.push(CollectionCounts { database, collection, counts: *counts });
            }
        }
        found.sort_by(|a, b| (&a.database, &a.collection).cmp(&(&b.database, &b.collection)));
        found
    }

    pub fn headers(&self) -> Vec<String> {
        self.lock().headers.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn add(&mut self, word: Word) {
        match word {
            Word::Hit => self.hit += 1,
            Word::Joined => self.joined += 1,
            Word::Miss => self.miss += 1,
            Word::Bypass(_) => self.bypass += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_counted_in_all_by_reason_and_by_collection() {
        let outcomes = Outcomes::default();
        outcomes.count(Word::Bypass(Reason::LevelUnknown), "d", "c", false);
        for word in [Word::Hit, Word::Hit, Word::Joined, Word::Miss, Word::Bypass(Reason::Closed)] {
            outcomes.count(word, "d", "c", true);
        }
        outcomes.count(Word::Bypass(Reason::Strong), "d", "c", false);

        assert_eq!(Counts { hit: 2, joined: 1, miss: 1, bypass: 3 }, outcomes.all());
        let reasons = [(Reason::Strong, 1), (Reason::LevelUnknown, 1), (Reason::Closed, 1)];
        assert_eq!(reasons, outcomes.bypasses()[..]);
        let [counted] = &outcomes.collections()[..] else { panic!() };
        assert_eq!(Counts { hit: 2, joined: 1, miss: 1, bypass: 2 }, counted.counts);
    }

    #[test]
    fn names_are_bounded() {
        let outcomes = Outcomes::default();
        for number in 0..1000 {
            let name = number.to_string();
            outcomes.count(Word::Hit, "invented", &name, false);
            outcomes.count(Word::Hit, &name, &name, true);
            outcomes.keeps_apart(&name);
        }
        outcomes.keeps_apart(&"x".repeat(65));

        assert_eq!(2000, outcomes.all().hit);
        assert_eq!(MOST_COLLECTIONS, outcomes.collections().len());
        assert_eq!(MOST_HEADERS, outcomes.headers().len());
    }
}
