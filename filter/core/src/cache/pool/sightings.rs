//! The questions that were asked a moment ago, in a table of fixed size.

use std::time::Duration;

use crate::host::clock::BootTime;

/// At 10,000 new questions a second, of those from 5 s ago about half are still there.
const PLACES: usize = 1 << 16;
/// One place has, from its lowest bit on: the time in 2^26 ns (67 ms), which repeats after 73 minutes; whether the question
/// was asked twice; and the rest of its hash, whose lowest bits are the place.
const TICK: u64 = (1 << 26) - 1;
const TIME: u64 = (1 << 16) - 1;
const TWICE: u64 = 1 << 16;

/// How a question is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    First,
    Second,
    /// It was asked more often, each time within the window.
    More,
}

/// A new question takes the place of the one that is there, which then counts as new too.
#[derive(Debug, Default)]
pub struct Sightings {
    /// Empty until the first question.
    places: Vec<u64>,
}

impl Sightings {
    /// Sees a question, by a hash. One that was seen longer than `window` ago is new; the longest window is an hour.
    pub fn see(&mut self, question: u64, window: Duration, now: BootTime) -> Sight {
        self.places.resize(PLACES, 0);
        let ticks = |time: Duration| time.as_nanos() as u64 / (TICK + 1);
        // 0 is an empty place.
        let tick = ticks(now.since(BootTime::from_nanos(0))) & TIME;
        let place = &mut self.places[question as usize % PLACES];
        let before = std::mem::replace(place, question & !(TIME | TWICE) | tick);
        let age = tick.wrapping_sub(before) & TIME;
        if (before ^ question) & !(TIME | TWICE) != 0 || before == 0 || age > ticks(window) {
            return Sight::First;
        }
        *place |= TWICE;
        if before & TWICE == 0 {
            Sight::Second
        } else {
            Sight::More
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(5);

    fn at(milliseconds: u64) -> BootTime {
        BootTime::from_nanos(milliseconds * 1_000_000)
    }

    fn hash(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn a_question_is_new_until_it_is_seen_again_in_the_window() {
        let mut sightings = Sightings::default();
        for (now, sight) in [
            (0, Sight::First),
            (4900, Sight::Second),
            (9800, Sight::More),
            (15_000, Sight::First),
            (15_001, Sight::Second),
        ] {
            assert_eq!(sight, sightings.see(hash(1), WINDOW, at(now)), "{now}");
        }
        assert_eq!(Sight::First, sightings.see(hash(2), WINDOW, at(15_001)));
    }

    #[test]
    fn a_question_from_an_hour_ago_is_known_if_answers_serve_that_long() {
        let mut sightings = Sightings::default();
        sightings.see(hash(1), WINDOW, at(1_000_000));
        let hour = Duration::from_secs(3600);
        assert_eq!(Sight::Second, sightings.see(hash(1), hour, at(1_000_000 + 3_599_000)));
        assert_eq!(Sight::First, sightings.see(hash(1), WINDOW, at(1_000_000 + 3_650_000)));
    }

    #[test]
    fn most_of_the_last_10_000_are_known() {
        let mut sightings = Sightings::default();
        for number in 0..20_000 {
            assert_eq!(Sight::First, sightings.see(hash(number), WINDOW, at(1)));
        }
        let known = (10_000..20_000)
            .filter(|number| sightings.see(hash(*number), WINDOW, at(2)) == Sight::Second);
        assert!(known.count() > 8_000);
    }
}
