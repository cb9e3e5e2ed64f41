//! What belongs to keys: answers, calls in flight, what was seen before. Each key has its shard, with its own lock.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cache::pool::doorkeeper::Doorkeeper;
use crate::cache::pool::entries::{Entries, Entry, EntryKey};
use crate::cache::pool::flights::Flights;

const SHARDS: usize = 16;

#[derive(Debug, Default)]
pub struct Store {
    shards: [Mutex<Shard>; SHARDS],
    /// The bytes of all entries.
    used: AtomicU64,
    /// The shard that the last entry was evicted from.
    evicted: AtomicUsize,
}

#[derive(Debug, Default)]
pub struct Shard {
    pub entries: Entries,
    pub flights: Flights,
    pub doorkeeper: Doorkeeper,
}

impl Store {
    pub fn shard(&self, key: &EntryKey) -> MutexGuard<'_, Shard> {
        // The digest's other end chooses places in the doorkeeper.
        lock(&self.shards[usize::from(key.digest[0]) % SHARDS])
    }

    pub fn shards(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.shards.iter().map(lock)
    }

    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Puts an entry into its shard, which the caller has locked.
    pub fn put(&self, shard: &mut Shard, key: EntryKey, entry: Entry) {
        self.used.fetch_add(entry.size(), Ordering::Relaxed);
        let freed = shard.entries.put(key, entry);
        self.used.fetch_sub(freed, Ordering::Relaxed);
    }

    /// Removes some entries that are not useful any more and, if it `may_evict`, others, from each shard in turn, until `size` more
    /// bytes fit into `memory`. Returns whether they fit. No shard may be locked by the caller. Workers that store at the
    /// same time exceed `memory` by an entry each.
    pub fn make_room(
        &self,
        size: u64,
        memory: u64,
        may_evict: bool,
        is_useful: impl Fn(&Entry) -> bool,
    ) -> bool {
        let mut empty = 0;
        loop {
            let turn = self.evicted.fetch_add(1, Ordering::Relaxed) % SHARDS;
            let mut shard = lock(&self.shards[turn]);
            let swept = shard.entries.sweep(&is_useful);
            self.used.fetch_sub(swept, Ordering::Relaxed);
            if self.used() + size <= memory {
                return true;
            }
            if !may_evict || empty == SHARDS {
                return false;
            }
            let freed = shard.entries.evict(&is_useful);
            empty = if freed.is_some() { 0 } else { empty + 1 };
            self.used.fetch_sub(freed.unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// Drops all entries, and what was seen.
    #[cfg(test)]
    pub fn clear(&self) {
        for mut shard in self.shards() {
            self.used.fetch_sub(shard.entries.clear(), Ordering::Relaxed);
            shard.doorkeeper = Doorkeeper::default();
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
