//! Which collections answer fills slowly. A fill asks for a newer answer than its client did, so Milvus may wait for its
//! own time to advance: when ingestion lags, when the broker stands still, and on idle channels from 2.6 on.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::time::Duration;

use crate::host::clock::BootTime;

/// A fill that takes so much longer than reads usually do is slow. It is above what Milvus's time ticks (200 ms) and a
/// busy machine explain, and below the second by which a lagging fill exceeds the client's own read at least.
const SLOW: Duration = Duration::from_millis(500);
/// A fill that takes so much longer than reads usually do, at least, is sent again as its client sent it.
const LATE: Duration = Duration::from_millis(50);
/// The same in mean deviations: K of RFC 6298, 2.3.
const DEVIATIONS: u32 = 4;
/// Milvus works on so many fills at the same time, at least: a fill has to wait for those that were sent before it.
const AT_ONCE: u32 = 2;
/// The same for a fill whose client gave up: perhaps its deadline is below `SLOW`, and without Kiteway it would have had
/// its answer.
const ABANDONED: Duration = Duration::from_millis(100);
/// So many slow fills in succession make the collection slow. One alone says nothing: a client may give up because it no
/// longer needs the answer, and a single search may take long.
const ENOUGH: usize = 2;
/// How long reads of the collection are not rewritten. A proxy that dies stalls Milvus's time for 5 s, so the first rest is
/// short. If fills are slow again soon after it, each rest is twice as long as the one before, up to the longest one.
const FIRST_REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(30);
/// How fast a new time replaces the mean that was learned: one part of this many (RFC 6298, 2.3).
const WEIGHT: u32 = 8;
/// The same for the mean deviation.
const DEVIATION_WEIGHT: u32 = 4;
/// The most collections. Fills of more are never slow.
const MOST: usize = 4096;

/// A collection, by a hash with a key of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place(u64);

#[derive(Debug, Default)]
pub struct Paces {
    secret: RandomState,
    by_collection: HashMap<Place, Pace>,
    /// What is added to `SLOW` and `ABANDONED`; the model of the tests knows no slow fill.
    pub tolerance: Duration,
    fills: u64,
}

#[derive(Debug, Default)]
struct Pace {
    /// The mean time to the first byte of an answer, of reads that are sent unchanged and of fills that are not slow.
    usual: Duration,
    /// The mean deviation from it.
    deviation: Duration,
    slow_until: Option<BootTime>,
    /// The length of the rest until then.
    rest: Duration,
    /// No fill was answered in time since the last rest: one is sent at a time, and a slow one is enough for another rest.
    is_on_trial: bool,
    /// How many fills in succession were slow.
    slow: usize,
    /// When each fill in flight was sent.
    in_flight: BTreeSet<(BootTime, u64)>,
}

/// A fill in flight.
#[derive(Clone, Copy, Debug)]
pub struct Timed(Place, BootTime, u64);

impl Paces {
    pub fn place(&self, database: &str, collection: &str) -> Place {
        Place(self.secret.hash_one((database, collection)))
    }

    /// Whether reads of the collection are not to be rewritten now.
    pub fn is_slow(&mut self, place: Place, now: BootTime) -> bool {
        let slow = self.patience(place);
        let Some(pace) = self.by_collection.get_mut(&place) else { return false };
        // Fills that do not return must not take others with them.
        let stuck = pace.in_flight.iter().take(ENOUGH);
        let stuck = stuck.filter(|(sent, _)| now.since(*sent) > slow).count();
        pace.rest_after(pace.slow + stuck, now);
        pace.slow_until.is_some_and(|until| now <= until)
            || pace.is_on_trial && !pace.in_flight.is_empty()
    }

    /// How long a fill of the collection may take until it is slow.
    pub fn patience(&self, place: Place) -> Duration {
        let usual = self.by_collection.get(&place).map_or(Duration::ZERO, |pace| pace.usual);
        usual + SLOW + self.tolerance
    }

    /// How long a fill of the collection may take until it is sent again as its client sent it.
    pub fn hedge_after(&self, place: Place) -> Duration {
        match self.by_collection.get(&place) {
            Some(pace) if !pace.usual.is_zero() => {
                let before = u32::try_from(pace.in_flight.len()).unwrap_or(u32::MAX);
                let queued = pace.usual.saturating_mul(before) / AT_ONCE;
                pace.usual + queued + LATE.max(pace.deviation * DEVIATIONS)
            }
            _ => SLOW,
        }
    }

    /// A fill is sent.
    pub fn begin(&mut self, place: Place, now: BootTime) -> Option<Timed> {
        self.fills += 1;
        let number = self.fills;
        self.pace(place, now)?.in_flight.insert((now, number));
        Some(Timed(place, now, number))
    }

    /// Milvus begins to answer a fill.
    pub fn answered(&mut self, fill: Timed, now: BootTime) {
        let slow = self.patience(fill.0);
        let Some((pace, took)) = self.end(fill, now) else { return };
        if took > slow {
            pace.is_slow_again(now);
        } else {
            pace.slow = 0;
            pace.is_on_trial = false;
            pace.learn(took);
        }
    }

    /// The client's own question, which was sent `after` the fill, was answered first. Before that time it was sent because
    /// an endpoint had failed, and says nothing.
    pub fn overtaken(&mut self, fill: Timed, after: Duration, now: BootTime) {
        let Some((pace, took)) = self.end(fill, now) else { return };
        if took >= after {
            pace.is_slow_again(now);
        }
    }

    /// A fill is over without an answer.
    pub fn abandoned(&mut self, fill: Timed, now: BootTime) {
        let slow = self.patience(fill.0).saturating_sub(SLOW) + ABANDONED;
        let Some((pace, took)) = self.end(fill, now) else { return };
        if took > slow {
            pace.is_slow_again(now);
        }
    }

    /// The same at a time that is not known.
    pub fn forget(&mut self, Timed(place, sent, number): Timed) {
        if let Some(pace) = self.by_collection.get_mut(&place) {
            pace.in_flight.remove(&(sent, number));
        }
    }

    /// Learns that Milvus began to answer a read that was sent unchanged, at `now` and after the time `took`.
    pub fn learn(&mut self, place: Place, took: Duration, now: BootTime) {
        if let Some(pace) = self.pace(place, now) {
            pace.learn(took);
        }
    }

    fn pace(&mut self, place: Place, now: BootTime) -> Option<&mut Pace> {
        if self.by_collection.len() >= MOST && !self.by_collection.contains_key(&place) {
            self.by_collection.retain(|_, pace| {
                !pace.in_flight.is_empty() || pace.slow_until.is_some_and(|until| now <= until)
            });
            if self.by_collection.len() >= MOST {
                return None;
            }
        }
        Some(self.by_collection.entry(place).or_default())
    }

    fn end(&mut self, fill: Timed, now: BootTime) -> Option<(&mut Pace, Duration)> {
        self.forget(fill);
        let Timed(place, sent, _) = fill;
        Some((self.by_collection.get_mut(&place)?, now.since(sent)))
    }
}

impl Pace {
    fn learn(&mut self, took: Duration) {
        if self.usual.is_zero() {
            (self.usual, self.deviation) = (took, took / 2);
            return;
        }
        let deviation = self.usual.abs_diff(took);
        self.deviation = (self.deviation * (DEVIATION_WEIGHT - 1) + deviation) / DEVIATION_WEIGHT;
        self.usual = (self.usual * (WEIGHT - 1) + took) / WEIGHT;
    }

    /// One more fill in succession was slow.
    fn is_slow_again(&mut self, now: BootTime) {
        self.slow += 1;
        self.rest_after(self.slow, now);
    }

    /// Begins a rest if so many slow fills in succession are enough.
    fn rest_after(&mut self, slow: usize, now: BootTime) {
        if slow < if self.is_on_trial { 1 } else { ENOUGH } {
            return;
        }
        self.is_on_trial = true;
        self.rest = match self.slow_until {
            Some(until) if now <= until => self.rest,
            Some(until) if now.since(until) <= LONGEST_REST => (self.rest * 2).min(LONGEST_REST),
            _ => FIRST_REST,
        };
        self.slow = 0;
        self.slow_until = Some(now + self.rest);
    }
}

#[cfg(test)]
mod tests;
