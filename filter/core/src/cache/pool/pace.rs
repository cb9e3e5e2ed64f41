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
/// How fast a new time replaces what was learned: one part of this many.
const WEIGHT: u32 = 8;
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
            pace.slow += 1;
            pace.rest_after(pace.slow, now);
        } else {
            pace.slow = 0;
            pace.is_on_trial = false;
            pace.learn(took);
        }
    }

    /// A fill is over without an answer.
    pub fn abandoned(&mut self, fill: Timed, now: BootTime) {
        let slow = self.patience(fill.0).saturating_sub(SLOW) + ABANDONED;
        let Some((pace, took)) = self.end(fill, now) else { return };
        if took > slow {
            pace.slow += 1;
            pace.rest_after(pace.slow, now);
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
        self.usual = match self.usual {
            Duration::ZERO => took,
            usual => (usual * (WEIGHT - 1) + took) / WEIGHT,
        };
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
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> BootTime {
        BootTime::from_nanos(milliseconds * 1_000_000)
    }

    /// Sends a fill at 0, which is answered after so many milliseconds.
    fn answered(paces: &mut Paces, place: Place, took: u64) {
        let fill = paces.begin(place, at(0)).unwrap();
        paces.answered(fill, at(took));
    }

    #[test]
    fn two_slow_fills_in_succession_rest_their_collection_for_5_s() {
        let mut paces = Paces::default();
        let (books, films) = (paces.place("", "books"), paces.place("", "films"));
        for took in [501, 500, 1001] {
            answered(&mut paces, books, took);
            assert!(!paces.is_slow(books, at(took)));
        }
        answered(&mut paces, books, 1001);

        assert!(paces.is_slow(books, at(6001)));
        assert!(!paces.is_slow(books, at(6002)));
        assert!(!paces.is_slow(films, at(1100)));
    }

    #[test]
    fn a_collection_that_stays_slow_rests_longer_each_time() {
        let mut paces = Paces::default();
        let books = paces.place("", "books");
        let slow_at = |paces: &mut Paces, now: u64| {
            for _ in 0..ENOUGH {
                let fill = paces.begin(books, at(now - 501)).unwrap();
                paces.answered(fill, at(now));
            }
        };
        let mut now = 1000;
        for rest in [5, 10, 20, 30, 30] {
            slow_at(&mut paces, now);
            now += rest * 1000;
            assert!(paces.is_slow(books, at(now)), "{rest}");
            assert!(!paces.is_slow(books, at(now + 1)), "{rest}");
            now += 600;
        }
        // A good half minute later the first rest is short again.
        now += 30_000;
        slow_at(&mut paces, now);
        assert!(paces.is_slow(books, at(now + 5000)));
        assert!(!paces.is_slow(books, at(now + 5001)));
    }

    #[test]
    fn after_a_rest_one_fill_is_sent_at_a_time_until_one_is_answered_in_time() {
        let mut paces = Paces::default();
        let books = paces.place("", "books");
        for _ in 0..ENOUGH {
            answered(&mut paces, books, 501);
        }
        assert!(!paces.is_slow(books, at(6000)));
        let trial = paces.begin(books, at(6000)).unwrap();
        assert!(paces.is_slow(books, at(6001)));
        paces.answered(trial, at(6501));
        assert!(paces.is_slow(books, at(16_501)));

        assert!(!paces.is_slow(books, at(16_502)));
        let trial = paces.begin(books, at(16_502)).unwrap();
        paces.answered(trial, at(16_600));
        paces.begin(books, at(16_600)).unwrap();
        assert!(!paces.is_slow(books, at(16_601)));
    }

    #[test]
    fn fills_that_are_stuck_during_a_rest_do_not_make_the_next_one_longer() {
        let mut paces = Paces::default();
        let books = paces.place("", "books");
        let stuck = [0, 1].map(|_| paces.begin(books, at(0)).unwrap());
        for now in (1000..4000).step_by(100) {
            assert!(paces.is_slow(books, at(now)));
        }
        for fill in stuck {
            paces.forget(fill);
        }

        assert!(paces.is_slow(books, at(3900 + 5000)));
        assert!(!paces.is_slow(books, at(3900 + 5001)));
    }

    #[test]
    fn fills_in_flight_are_slow_before_they_end() {
        let mut paces = Paces::default();
        let books = paces.place("", "books");
        paces.begin(books, at(0)).unwrap();
        assert!(!paces.is_slow(books, at(501)));
        paces.begin(books, at(0)).unwrap();

        assert!(!paces.is_slow(books, at(500)));
        assert!(paces.is_slow(books, at(501)));
    }

    #[test]
    fn fills_on_which_clients_with_short_deadlines_give_up_are_slow() {
        let mut paces = Paces::default();
        let books = paces.place("", "books");
        for took in [101, 100, 101] {
            assert!(!paces.is_slow(books, at(0)));
            let fill = paces.begin(books, at(0)).unwrap();
            paces.abandoned(fill, at(took));
        }
        assert!(paces.is_slow(books, at(102)));
    }

    #[test]
    fn one_client_that_gives_up_says_nothing() {
        let mut paces = Paces::default();
        let books = paces.place("", "books");
        for _ in 0..10 {
            let fill = paces.begin(books, at(0)).unwrap();
            paces.abandoned(fill, at(400));
            answered(&mut paces, books, 10);
            assert!(!paces.is_slow(books, at(401)));
        }
    }

    #[test]
    fn what_is_usual_is_learned_from_reads_that_are_sent_unchanged() {
        let mut paces = Paces::default();
        let books = paces.place("", "books");
        paces.learn(books, Duration::from_millis(800), at(0));
        for _ in 0..10 {
            answered(&mut paces, books, 1299);
        }
        assert!(!paces.is_slow(books, at(1300)));
    }

    #[test]
    fn the_number_of_collections_is_bounded() {
        let mut paces = Paces::default();
        for number in 0..3 * MOST {
            let place = paces.place("", &number.to_string());
            answered(&mut paces, place, 1);
        }
        assert!(paces.by_collection.len() <= MOST);
        for number in 0..2 * MOST {
            let place = paces.place("stuck", &number.to_string());
            paces.begin(place, at(0));
        }
        assert!(paces.by_collection.len() <= MOST);
    }
}
