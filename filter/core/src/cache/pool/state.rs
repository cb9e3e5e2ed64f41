//! A pool: the proxies of one Milvus.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::alarm::Alarmed;
use crate::cache::planted;
use crate::cache::pool::control::{Control, PoolTerms};
use crate::cache::pool::entries::{Entry, EntryKey};
use crate::cache::pool::outcomes::{Counts, Outcomes, Word};
use crate::cache::pool::repeats::Look;
use crate::cache::pool::store::{Shard, Store};
use crate::cache::question::glance::{Credentials, Glance};
use crate::cache::reason::Reason;
use crate::host::clock::BootTime;

/// Requests that wait, and answers that are not complete, each take at most this part of the memory for entries.
const PARKED: u64 = 4;

#[derive(Debug, Default)]
pub struct Pool {
    store: Arc<Store>,
    control: Mutex<Control>,
    /// Whether a read is looked at before the pool is asked.
    looks: AtomicBool,
    outcomes: Outcomes,
    /// The bytes of requests that wait.
    parked: AtomicU64,
    /// The bytes of answers that are copied while they come.
    copied: AtomicU64,
}

/// What is reported of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub bytes: u64,
    pub entries: usize,
    pub generation: u64,
    pub is_closed: bool,
    /// How old the newest sample is.
    pub sample_age: Option<Duration>,
    pub outcomes: Counts,
    /// Reasons with reads, in a fixed order.
    pub bypass: Vec<(Reason, u64)>,
    /// The names of headers that keep the reads of clients apart.
    pub headers: Vec<String>,
}

impl Pool {
    pub fn with(store: Arc<Store>) -> Self {
        Self { store, ..Self::default() }
    }

    /// Takes the last configuration. With another epoch than before, all endpoints were replaced.
    pub fn configure(&self, terms: PoolTerms, epoch: u64) {
        self.control().configure(terms, epoch);
        self.store.make_room(0, terms.memory, true, |_| true);
    }

    /// Whether `look` should be asked about a read.
    pub fn looks(&self) -> bool {
        self.looks.load(Ordering::Relaxed)
    }

    /// Whether a read with these credentials is sent while it arrives.
    pub fn is_sent_at_once(&self, credentials: Credentials) -> bool {
        self.control().repeats.is_sent_at_once(credentials)
    }

    /// The reads with these credentials are held again: one is sent that cannot be looked at.
    pub fn hold(&self, credentials: Credentials) {
        self.control().repeats.hold(credentials);
    }

    /// Looks at a read that has arrived, of which answers serve for `window`. One that passes, or `is_sent` already, is counted.
    pub fn look(&self, glance: Glance, window: Duration, is_sent: bool, now: BootTime) -> Look {
        let mut control = self.control();
        let look = control.repeats.look(glance, window, is_sent, now);
        self.looks_if_seldom(&control);
        drop(control);
        if is_sent || look == Look::Pass {
            self.count(Word::Bypass(Reason::NewQuestion));
        }
        look
    }

    pub fn looks_if_seldom(&self, control: &Control) {
        self.looks.store(control.repeats.are_seldom(), Ordering::Relaxed);
    }

    /// Counts a read that the pool was not asked about.
    pub fn bypassed(&self, reason: Reason) {
        self.count(Word::Bypass(reason));
    }

    /// Notes a header that is not known to be irrelevant, for the report.
    pub fn keeps_apart(&self, header: &str) {
        self.outcomes.keeps_apart(header);
    }

    pub fn report(&self, now: BootTime) -> Report {
        let control = self.control();
        let generation = control.generation.number();
        let is_closed = !control.generation.is_open(now);
        let sample_age = control.samples.age(now);
        drop(control);
        Report {
            bytes: self.store.used(),
            entries: self.store.shards().map(|shard| shard.entries.len()).sum(),
            generation,
            is_closed,
            sample_age,
            outcomes: self.outcomes.all(),
            bypass: self.outcomes.bypasses(),
            headers: self.outcomes.headers(),
        }
    }

    /// Drops what takes memory. The generation goes on.
    #[cfg(test)]
    pub fn clear(&self) {
        self.store.clear();
    }

    pub fn shard(&self, key: &EntryKey) -> MutexGuard<'_, Shard> {
        self.store.shard(key)
    }

    pub fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores an entry if the generation is still that of its send. One that is not wanted takes the place of no other one.
    pub fn put(&self, key: EntryKey, mut entry: Entry, is_wanted: bool, now: BootTime) {
        let (memory, generation) = {
            let control = self.control();
            (control.terms.memory, control.generation.number())
        };
        let is_useful = |entry: &Entry| entry.generation == generation && now <= entry.expires;
        if entry.size() > memory
            || !self.store.make_room(entry.size(), memory, is_wanted, is_useful)
        {
            return;
        }
        let mut shard = self.shard(&key);
        // Check and store are one step: nothing bumps the generation while the control is locked.
        let control = self.control();
        let generation = control.generation.number();
        if entry.generation == generation || planted::generation_ignored_at_store() {
            entry.generation = generation;
            // A fill with an older sample may end later.
            let is_newer =
                |kept: &Entry| kept.generation == generation && kept.label.sent > entry.label.sent;
            if !shard.entries.get(&key).is_some_and(is_newer) {
                self.store.put(&mut shard, key, entry);
            }
        }
    }

    pub fn count(&self, word: Word) {
        self.outcomes.count(word);
    }

    /// Whether a request of so many bytes may wait at a pool with this memory; `unpark` takes them back.
    pub fn park(&self, bytes: u64, memory: u64) -> bool {
        let most = memory / PARKED;
        let before = self.parked.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= most;
        if !fits {
            self.unpark(bytes);
        }
        fits
    }

    pub fn unpark(&self, bytes: u64) {
        self.parked.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Reserves memory for an answer of so many bytes that begins to come. None: others take it all.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reserved> {
        let most = self.control().terms.memory / PARKED;
        let before = self.copied.fetch_add(bytes, Ordering::Relaxed);
        let reserved = Reserved { pool: Arc::clone(self), bytes };
        (before.saturating_add(bytes) <= most).then_some(reserved)
    }
}

/// Memory for an answer that is not complete.
#[derive(Debug)]
pub struct Reserved {
    pool: Arc<Pool>,
    bytes: u64,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.pool.copied.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Alarmed for Pool {
    fn ring(&self, now: Instant) -> Option<Instant> {
        self.store.shards().filter_map(|mut shard| shard.flights.expire(now)).min()
    }
}
