//! Which lines have more calls than they get turns, and how long calls wait in them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::admission::key::Key;

/// More lines than these are not noted: calls of others wait as long as they may.
const MOST: usize = 4096;
/// The part of the longest wait after which a call is late.
const PART: u32 = 20;
/// How many times later newer calls come before it. Sooner, it would be passed over where a few calls come at once.
const YIELDS: u32 = 4;

/// After how long a call is late that takes Milvus `cost` seconds and may wait for `wait`: a twentieth of that, or twice as long
/// as Milvus works on it.
pub fn late_after(cost: f64, wait: Duration) -> Duration {
    // A cost that was learned is the time of a call, so it fits.
    Duration::from_secs_f64(cost * 2.0).max(wait / PART).min(wait)
}

/// After how long newer calls of its line come before a call that is late after `late`.
pub fn yields_after(late: Duration, wait: Duration) -> Duration {
    (late * YIELDS).min(wait)
}

/// The lines of which a call was refused lately because it waited too long.
#[derive(Debug, Default)]
pub struct Strain {
    until: HashMap<Key, Instant>,
}

impl Strain {
    pub fn holds(&self, line: Key, now: Instant) -> bool {
        self.until.get(&line).is_some_and(|until| now < *until)
    }

    /// Notes that a call was refused, and says whether the line was not strained until now. It is for as long as the call might
    /// have waited.
    pub fn refused(&mut self, line: Key, wait: Duration, now: Instant) -> bool {
        if self.until.len() >= MOST {
            self.until.retain(|_, until| now < *until);
        }
        let was_strained = self.holds(line, now);
        if self.until.len() < MOST || was_strained {
            self.until.insert(line, now + wait);
        }
        !was_strained && self.holds(line, now)
    }

    /// There is room for more calls than arrive.
    pub fn ends(&mut self) {
        self.until.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(1);

    #[test]
    fn a_call_is_late_after_twice_its_time_within_limits() {
        for (cost, late) in [(0.001, 50), (0.025, 50), (0.2, 400), (3.0, 1000)] {
            assert_eq!(Duration::from_millis(late), late_after(cost, WAIT), "{cost}");
        }
    }

    #[test]
    fn strain_ends_by_itself_or_at_once() {
        let (mut strain, now, line) = (Strain::default(), Instant::now(), Key::of("a"));
        assert!(strain.refused(line, WAIT, now));
        assert!(!strain.refused(line, WAIT, now));

        assert!(strain.holds(line, now + WAIT / 2) && !strain.holds(Key::of("b"), now));
        assert!(!strain.holds(line, now + WAIT));
        strain.ends();
        assert!(!strain.holds(line, now));
    }

    #[test]
    fn the_number_of_lines_is_bounded() {
        let (mut strain, now) = (Strain::default(), Instant::now());
        for line in 0..10_000_u32 {
            strain.refused(Key::of(line), WAIT, now);
        }
        assert_eq!(MOST, strain.until.len());

        assert!(!strain.refused(Key::of("later"), WAIT, now));
        assert!(strain.refused(Key::of("later"), WAIT, now + WAIT));
    }
}
