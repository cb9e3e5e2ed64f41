//! What each name may use of a limit: requests, rows and bytes a second, and calls in flight.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::admission::bucket::Bucket;
use crate::admission::key::Key;

pub use crate::admission::bucket::Rate;

const SHARDS: usize = 8;
/// The most names of a shard that Milvus has answered well for.
const MAX_KNOWN: usize = 8192;
/// The most other names of a shard. Further ones share the counts of one name.
const MAX_STRANGERS: usize = 512;
/// How long a shard that is full is not searched again for names to forget.
const SWEEP: Duration = Duration::from_millis(100);

/// What a limit limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    Requests,
    Rows,
    Bytes,
    InFlight,
}

/// The rates have places in arrays.
const RATES: usize = 3;
const BY_PLACE: [Resource; RATES] = [Resource::Requests, Resource::Rows, Resource::Bytes];

/// The most that a name gets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Most {
    /// Of requests, rows and bytes.
    pub rates: [Option<Rate>; RATES],
    pub in_flight: Option<u64>,
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    pub resource: Resource,
    /// When it may be tried again; zero for calls in flight, where it is not known.
    pub after: Duration,
}

/// What all names have used of one limit.
#[derive(Debug, Default)]
pub struct Counts {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    used: HashMap<Key, Used>,
    strangers: usize,
    /// The names for which there was no room, together.
    overflow: Option<Used>,
    swept: Option<Instant>,
}

/// What one name has used.
#[derive(Debug)]
struct Used {
    buckets: [Option<Bucket>; RATES],
    in_flight: u64,
    known: bool,
}

impl Counts {
    /// Counts a call of `name`, or says what it has too much of. Of rows and bytes nothing is counted yet, since the
    /// call has not been read.
    pub fn enter(
        self: &Arc<Self>,
        name: Key,
        known: bool,
        most: Most,
        now: Instant,
    ) -> Result<Ticket, Excess> {
        let overflow = self.shard(name, |shard| {
            let (used, overflow) = shard.place(name, known, most, now);
            used.fill(most, now);
            match used.excess(most) {
                Some(excess) => Err(excess),
                None => {
                    used.in_flight += 1;
                    used.charge(Resource::Requests, 1.0);
                    Ok(overflow)
                }
            }
        })?;
        let (counts, charged) = (Arc::clone(self), [1.0, 0.0, 0.0]);
        Ok(Ticket { counts, name, overflow, in_flight: true, charged })
    }

    fn shard<T>(&self, name: Key, with: impl FnOnce(&mut Shard) -> T) -> T {
        let shard = &self.shards[name.place(SHARDS)];
        with(&mut shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shard {
    /// The place of a name, and whether it shares it with others.
    fn place(&mut self, name: Key, known: bool, most: Most, now: Instant) -> (&mut Used, bool) {
        if !self.used.contains_key(&name) {
            if !self.has_room(known) {
                self.sweep(most, now);
            }
            if !self.has_room(known) {
                return (self.overflow.get_or_insert_with(|| Used::new(most, now)), true);
            }
            self.strangers += usize::from(!known);
        }
        let strangers = &mut self.strangers;
        let used = self.used.entry(name).or_insert_with(|| Used { known, ..Used::new(most, now) });
        if known && !used.known {
            used.known = true;
            *strangers -= 1;
        }
        (used, false)
    }

    fn has_room(&self, known: bool) -> bool {
        match known {
            true => self.used.len() - self.strangers < MAX_KNOWN,
            false => self.strangers < MAX_STRANGERS,
        }
    }

    /// Forgets the names that have nothing in flight and everything left: a new place is the same.
    fn sweep(&mut self, most: Most, now: Instant) {
        if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < SWEEP) {
            return;
        }
        self.swept = Some(now);
        self.used.retain(|_, used| {
            used.fill(most, now);
            !used.is_idle(most)
        });
        self.strangers = self.used.values().filter(|used| !used.known).count();
    }
}

impl Used {
    fn new(most: Most, now: Instant) -> Self {
        let buckets = most.rates.map(|rate| rate.map(|rate| Bucket::full(rate, now)));
        Self { buckets, in_flight: 0, known: false }
    }

    /// Fills the buckets. A rate that has been configured since has no bucket yet.
    fn fill(&mut self, most: Most, now: Instant) {
        for (bucket, rate) in self.buckets.iter_mut().zip(most.rates) {
            match rate {
                Some(rate) => bucket.get_or_insert_with(|| Bucket::full(rate, now)).fill(rate, now),
                None => *bucket = None,
            }
        }
    }

    fn is_idle(&self, most: Most) -> bool {
        let mut buckets = self.buckets.iter().zip(most.rates);
        let full = |(bucket, rate): (&Option<Bucket>, Option<Rate>)| match (bucket, rate) {
            (Some(bucket), Some(rate)) => bucket.is_full(rate),
            _ => true,
        };
        self.in_flight == 0 && buckets.all(full)
    }

    /// What a further call would have too much of. One request must be left, and any row or byte.
    fn excess(&self, most: Most) -> Option<Excess> {
        if most.in_flight.is_some_and(|most| self.in_flight >= most) {
            return Some(Excess { resource: Resource::InFlight, after: Duration::ZERO });
        }
        let rates = self.buckets.iter().zip(most.rates).zip(BY_PLACE);
        let waits = rates.filter_map(|((bucket, rate), resource)| {
            let least = if resource == Resource::Requests { 1.0 } else { f64::MIN_POSITIVE };
            let after = bucket.as_ref()?.wait(rate?, least)?;
            Some(Excess { resource, after })
        });
        waits.max_by_key(|excess| excess.after)
    }

    fn charge(&mut self, resource: Resource, amount: f64) {
        let bucket = BY_PLACE.iter().position(|each| *each == resource);
        if let Some(bucket) = bucket.and_then(|place| self.buckets[place].as_mut()) {
            bucket.take(amount);
        }
    }
}

/// A call that is counted. It is in flight until it is dropped or `land` is called.
#[derive(Debug)]
pub struct Ticket {
    counts: Arc<Counts>,
    name: Key,
    overflow: bool,
    in_flight: bool,
    /// By the place of the rate.
    charged: [f64; RATES],
}

impl Ticket {
    /// Counts what the call turns out to use.
    pub fn charge(&mut self, resource: Resource, amount: f64) {
        if let Some(place) = BY_PLACE.iter().position(|each| *each == resource) {
            self.charged[place] += amount;
            self.with(|used| used.charge(resource, amount));
        }
    }

    /// Counts the call as never made.
    pub fn give_back(&mut self) {
        let charged = std::mem::take(&mut self.charged);
        self.with(|used| {
            for (resource, amount) in BY_PLACE.into_iter().zip(charged) {
                used.charge(resource, -amount);
            }
        });
        self.land();
    }

    /// The call is no longer in flight.
    pub fn land(&mut self) {
        if std::mem::take(&mut self.in_flight) {
            self.with(|used| used.in_flight = used.in_flight.saturating_sub(1));
        }
    }

    /// Nothing happens where the name has been forgotten since: it had nothing in flight and everything left.
    fn with(&self, change: impl FnOnce(&mut Used)) {
        self.counts.shard(self.name, |shard| {
            let used = match self.overflow {
                true => shard.overflow.as_mut(),
                false => shard.used.get_mut(&self.name),
            };
            used.map(change);
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.land();
    }
}

#[cfg(test)]
mod tests;
