//! What DescribeCollection said of collections, by the headers of the request.

use std::time::Duration;

use crate::cache::planted;
use crate::cache::pool::doorkeeper::Doorkeeper;
use crate::cache::question::keyed_hash::DigestMap;
use crate::cache::read::Facts;
use crate::host::clock::BootTime;

/// The most collections, each with one set of headers. Past it, the half that was not used for longest is forgotten.
const MOST: usize = 4096;
/// A DescribeCollection is not repeated before.
const EVERY: Duration = Duration::from_secs(1);

pub type CollectionKey = [u8; 32];

#[derive(Debug, Default)]
pub struct FactsTable {
    by_collection: DigestMap<CollectionKey, Known>,
    seen: Doorkeeper,
}

#[derive(Debug, Default)]
struct Known {
    learned: Option<Learned>,
    /// When a DescribeCollection was last due.
    asked: Option<BootTime>,
    used: Option<BootTime>,
}

/// The facts, when the DescribeCollection was sent, and the generation then.
#[derive(Clone, Copy, Debug)]
pub struct Learned {
    pub facts: Facts,
    pub sent: BootTime,
    pub generation: u64,
}

impl Learned {
    fn is_valid(&self, generation: u64, now: BootTime, bound: Duration) -> bool {
        (self.generation == generation && now.since(self.sent) <= bound)
            || planted::levels_never_expire()
    }
}

impl FactsTable {
    pub fn get(
        &mut self,
        key: &CollectionKey,
        generation: u64,
        now: BootTime,
        bound: Duration,
    ) -> Option<Facts> {
        let known = self.by_collection.get_mut(key)?;
        known.used = Some(now);
        let learned = known.learned?;
        learned.is_valid(generation, now, bound).then_some(learned.facts)
    }

    /// Whether the collection was read before. It is now. A header with another value in each read costs Milvus nothing.
    pub fn has_seen(&mut self, key: &CollectionKey) -> bool {
        self.by_collection.contains_key(key) || self.seen.has_seen(key)
    }

    /// Whether a DescribeCollection should be sent: nothing valid is known, or it is valid for less than half of `bound`.
    pub fn is_due(
        &self,
        key: &CollectionKey,
        generation: u64,
        now: BootTime,
        bound: Duration,
    ) -> bool {
        self.by_collection.get(key).is_none_or(|known| {
            let is_fresh = |learned: Learned| learned.is_valid(generation, now, bound / 2);
            // One that was answered in another generation is repeated at once.
            let is_answered = |asked| known.learned.is_some_and(|learned| learned.sent >= asked);
            let is_asked =
                known.asked.is_some_and(|asked| now.since(asked) < EVERY && !is_answered(asked));
            !is_asked && !known.learned.is_some_and(is_fresh)
        })
    }

    /// A DescribeCollection is sent.
    pub fn asked(&mut self, key: &CollectionKey, now: BootTime) {
        let known = self.known(key);
        (known.asked, known.used) = (Some(now), Some(now));
    }

    /// The DescribeCollection of that time ended before Milvus could answer: another one may be sent at once.
    pub fn not_asked(&mut self, key: &CollectionKey, sent: BootTime) {
        if let Some(known) = self.by_collection.get_mut(key) {
            known.asked = known.asked.filter(|asked| *asked != sent);
        }
    }

    pub fn learn(&mut self, key: &CollectionKey, learned: Learned) {
        self.known(key).learned = Some(learned);
    }

    fn known(&mut self, key: &CollectionKey) -> &mut Known {
        if self.by_collection.len() >= MOST && !self.by_collection.contains_key(key) {
            let mut used: Vec<_> = self.by_collection.values().map(|known| known.used).collect();
            let (_, median, _) = used.select_nth_unstable(MOST / 2);
            let median = *median;
            self.by_collection.retain(|_, known| known.used > median);
        }
        self.by_collection.entry(*key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::read::Level;

    const BOUND: Duration = Duration::from_secs(5);
    const FACTS: Facts = Facts { level: Level::Bounded, has_ttl: false, is_external: false };

    fn at(milliseconds: u64) -> BootTime {
        BootTime::from_nanos(milliseconds * 1_000_000)
    }

    fn key(number: u64) -> CollectionKey {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        key
    }

    #[test]
    fn it_is_asked_once_a_second_until_it_is_known_and_again_at_half_time() {
        let mut table = FactsTable::default();
        assert!(table.is_due(&key(1), 0, at(0), BOUND));
        table.asked(&key(1), at(0));
        assert!(!table.is_due(&key(1), 0, at(999), BOUND));
        assert!(table.is_due(&key(1), 0, at(1000), BOUND));
        table.asked(&key(1), at(1000));
        table.learn(&key(1), Learned { facts: FACTS, sent: at(1000), generation: 0 });

        assert!(!table.is_due(&key(1), 0, at(3500), BOUND));
        assert!(table.is_due(&key(1), 0, at(3501), BOUND));
        assert!(table.is_due(&key(1), 1, at(1001), BOUND), "another generation");
        assert_eq!(Some(FACTS), table.get(&key(1), 0, at(6000), BOUND));
        assert_eq!(None, table.get(&key(1), 0, at(6001), BOUND));
    }

    #[test]
    fn one_that_was_not_answered_because_its_read_is_gone_is_repeated_at_once() {
        let mut table = FactsTable::default();
        table.asked(&key(1), at(0));
        table.not_asked(&key(1), at(0));
        assert!(table.is_due(&key(1), 0, at(1), BOUND));
        table.asked(&key(1), at(1));
        table.not_asked(&key(1), at(0));
        assert!(!table.is_due(&key(1), 0, at(2), BOUND));
    }

    #[test]
    fn many_collections_are_bounded_and_one_in_use_stays() {
        let mut table = FactsTable::default();
        for number in 1..100_000 {
            let now = at(number);
            if table.is_due(&key(0), 0, now, BOUND) {
                table.learn(&key(0), Learned { facts: FACTS, sent: now, generation: 0 });
            }
            table.asked(&key(number), now);
            assert!(table.get(&key(0), 0, now, BOUND).is_some(), "{number}");
        }
        assert!(table.by_collection.len() <= MOST);
    }
}
