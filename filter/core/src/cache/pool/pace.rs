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
/// The same for fills whose clients gave up, `MOST_ABANDONED` in succession: perhaps their deadlines are below `SLOW`, and
/// without Kiteway they would have had their answers. One alone says nothing: its client perhaps no longer needed it.
const ABANDONED: Duration = Duration::from_millis(100);
const MOST_ABANDONED: u32 = 2;
/// How long reads of the collection are not rewritten.
const REST: Duration = Duration::from_secs(30);
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
    /// The mean time to the first byte of an answer.
    usual: Duration,
    slow_until: Option<BootTime>,
    /// How many fills in succession were abandoned late.
    abandoned: u32,
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
        let tolerance = self.tolerance;
        let Some(pace) = self.by_collection.get_mut(&place) else { return false };
        // The first fill that does not return must not take others with it.
        if pace
            .in_flight
            .first()
            .is_some_and(|(sent, _)| now.since(*sent) > pace.usual + SLOW + tolerance)
        {
            pace.slow_until = Some(now + REST);
        }
        pace.slow_until.is_some_and(|until| now <= until)
    }

    /// A fill is sent.
    pub fn begin(&mut self, place: Place, now: BootTime) -> Option<Timed> {
        if self.by_collection.len() >= MOST && !self.by_collection.contains_key(&place) {
            self.by_collection.retain(|_, pace| {
                !pace.in_flight.is_empty() || pace.slow_until.is_some_and(|until| now <= until)
            });
            if self.by_collection.len() >= MOST {
                return None;
            }
        }
        self.fills += 1;
        self.by_collection.entry(place).or_default().in_flight.insert((now, self.fills));
        Some(Timed(place, now, self.fills))
    }

    /// Milvus begins to answer a fill.
    pub fn answered(&mut self, fill: Timed, now: BootTime) {
        let slow = SLOW + self.tolerance;
        let Some((pace, took)) = self.end(fill, now) else { return };
        pace.abandoned = 0;
        if took > pace.usual + slow {
            pace.slow_until = Some(now + REST);
        } else {
            pace.learn(took);
        }
    }

    /// A fill is over without an answer.
    pub fn abandoned(&mut self, fill: Timed, now: BootTime) {
        let slow = ABANDONED + self.tolerance;
        let Some((pace, took)) = self.end(fill, now) else { return };
        if took > pace.usual + slow {
            pace.abandoned += 1;
        }
        if pace.abandoned == MOST_ABANDONED {
            pace.abandoned = 0;
            pace.slow_until = Some(now + REST);
        }
    }

    /// The same at a time that is not known.
    pub fn forget(&mut self, Timed(place, sent, number): Timed) {
        if let Some(pace) = self.by_collection.get_mut(&place) {
            pace.in_flight.remove(&(sent, number));
        }
    }

    /// Milvus began to answer a read, which was sent unchanged, after so long.
    pub fn learn(&mut self, place: Place, took: Duration) {
        if let Some(pace) = self.by_collection.get_mut(&place) {
            pace.learn(took);
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> BootTime {
        BootTime::from_nanos(milliseconds * 1_000_000)
    }

    #[test]
    fn a_slow_fill_rests_its_collection_for_30_s() {
        let mut paces = Paces::default();
        let (books, films) = (paces.place("", "books"), paces.place("", "films"));
        let fill = paces.begin(books, at(0)).unwrap();
        paces.answered(fill, at(501));

        assert!(paces.is_slow(books, at(30_501)));
        assert!(!paces.is_slow(books, at(30_502)));
        assert!(!paces.is_slow(films, at(600)));
    }

    #[test]
    fn a_fill_in_flight_is_slow_before_it_ends() {
        let mut paces = Paces::default();
        let books = paces.place("", "books");
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
            let fill = paces.begin(books, at(0)).unwrap();
            paces.answered(fill, at(10));
            assert!(!paces.is_slow(books, at(401)));
        }
    }

    #[test]
    fn what_is_usual_is_learned_from_reads_that_are_sent_unchanged() {
        let mut paces = Paces::default();
        let books = paces.place("", "books");
        let fill = paces.begin(books, at(0)).unwrap();
        paces.answered(fill, at(800));
        assert!(paces.is_slow(books, at(900)));
        paces.learn(books, Duration::from_millis(800));

        let fill = paces.begin(books, at(40_000)).unwrap();
        assert!(!paces.is_slow(books, at(41_200)));
        paces.answered(fill, at(41_200));
        assert!(!paces.is_slow(books, at(41_300)));
    }

    #[test]
    fn the_number_of_collections_is_bounded() {
        let mut paces = Paces::default();
        for number in 0..3 * MOST {
            let place = paces.place("", &number.to_string());
            let fill = paces.begin(place, at(0)).unwrap();
            paces.answered(fill, at(1));
        }
        assert!(paces.by_collection.len() <= MOST);
        for number in 0..2 * MOST {
            let place = paces.place("stuck", &number.to_string());
            paces.begin(place, at(0));
        }
        assert!(paces.by_collection.len() <= MOST);
    }
}
