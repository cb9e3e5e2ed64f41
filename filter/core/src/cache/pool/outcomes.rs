//! What became of reads.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cache::reason::Reason;

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

#[derive(Debug)]
pub struct Outcomes {
    bypasses: [AtomicU64; REASONS],
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    all: Counts,
    headers: BTreeSet<String>,
}

impl Default for Outcomes {
    fn default() -> Self {
        Self { bypasses: [const { AtomicU64::new(0) }; REASONS], state: Mutex::default() }
    }
}

impl Outcomes {
    /// Counts a read.
    pub fn count(&self, word: Word) {
        if let Word::Bypass(reason) = word {
            self.bypasses[reason as usize].fetch_add(1, Ordering::Relaxed);
        }
        self.lock().all.add(word);
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
    fn reads_are_counted_in_all_and_by_reason() {
        let outcomes = Outcomes::default();
        let bypasses = [Reason::LevelUnknown, Reason::Closed, Reason::Strong].map(Word::Bypass);
        for word in [Word::Hit, Word::Hit, Word::Joined, Word::Miss].into_iter().chain(bypasses) {
            outcomes.count(word);
        }

        assert_eq!(Counts { hit: 2, joined: 1, miss: 1, bypass: 3 }, outcomes.all());
        let reasons = [(Reason::Strong, 1), (Reason::LevelUnknown, 1), (Reason::Closed, 1)];
        assert_eq!(reasons, outcomes.bypasses()[..]);
    }

    #[test]
    fn headers_are_bounded() {
        let outcomes = Outcomes::default();
        for number in 0..1000 {
            outcomes.keeps_apart(&number.to_string());
        }
        outcomes.keeps_apart(&"x".repeat(65));

        assert_eq!(MOST_HEADERS, outcomes.headers().len());
    }
}
