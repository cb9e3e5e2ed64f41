//! Whether the questions of an asker about a collection are repeated while their answers serve. Where they are not,
//! a new question is sent unchanged: its key, its fill and its entry would be in vain.
//!
//! This decides which reads are filled, and never what a read is answered with. A read that is sent unchanged is right in
//! any case.

use std::collections::HashMap;
use std::time::Duration;

use crate::cache::pool::sightings::{Sight, Sightings};
use crate::cache::question::glance::{Asker, Credentials, Glance};
use crate::host::clock::BootTime;

/// After so many new questions in succession that were not repeated, an asker's questions seldom repeat.
const ENOUGH: u32 = 64;
/// A repetition makes up for so many new questions: if fewer than one of these are repeated, fills cost more than they
/// save.
const WORTH: u32 = 32;
/// Of the new questions of such an asker, one of so many is filled: so timestamps and level stay known for the questions that
/// are repeated.
const SHARE: u64 = 32;
/// The time between two of those, at least. Timestamp and level are of use until they are 5 s old.
const SHARE_EVERY: Duration = Duration::from_secs(2);
/// After so many reads of a client in succession that were sent unchanged, its next ones are sent at once: to hold a request in Envoy
/// until it is complete costs more than the look.
const SURE: u64 = 256;
/// One of so many is held all the same: it may be filled.
const HELD: u64 = 16;
/// What is known of an asker is forgotten so long after its last question.
const REST: Duration = Duration::from_secs(60);
/// The most askers. Past it, the half that asked longest ago is forgotten.
const MOST: usize = 4096;

/// What is done with a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It is sent unchanged.
    Pass,
    /// The cache is asked.
    Ask {
        /// The question was asked a moment ago.
        is_repeated: bool,
        /// How many reads of the asker were sent unchanged since the last one that is asked about.
        passed: u64,
    },
}

#[derive(Debug, Default)]
pub struct Repeats {
    by_asker: HashMap<Asker, Habit>,
    /// How many askers seldom repeat their questions.
    seldom: usize,
    sightings: Sightings,
    /// How many reads in succession were sent unchanged, by the credentials.
    passed: HashMap<Credentials, u64>,
}

/// What is known of an asker. Only a good answer of Milvus to a fill begins it: a stranger takes no place.
#[derive(Debug)]
struct Habit {
    /// New questions that have not been repeated, less those that repetitions make up for: 0 to `ENOUGH`.
    unrepeated: u32,
    is_seldom: bool,
    last: BootTime,
    /// New questions since the last one that was filled all the same, and when that was.
    new: u64,
    filled: BootTime,
    /// Reads that were sent unchanged since the last one that was asked about.
    passed: u64,
}

impl Repeats {
    /// Whether there is an asker that seldom repeats a question. Otherwise there is nothing to look at.
    pub fn are_seldom(&self) -> bool {
        self.seldom > 0
    }

    /// Whether a read with these credentials is sent while it arrives. It is looked at all the same.
    pub fn is_sent_at_once(&self, credentials: Credentials) -> bool {
        let passed = self.passed.get(&credentials).copied().unwrap_or_default();
        passed >= SURE && passed % HELD != 0
    }

    /// Reads with these credentials are held again.
    pub fn hold(&mut self, credentials: Credentials) {
        self.passed.remove(&credentials);
    }

    /// Looks at a read. Answers serve for `window`. One that `is_sent` already is not asked about, whatever this returns.
    pub fn look(&mut self, glance: Glance, window: Duration, is_sent: bool, now: BootTime) -> Look {
        const NOTHING: Look = Look::Ask { is_repeated: false, passed: 0 };
        let Some(habit) = self.by_asker.get_mut(&glance.asker).filter(|habit| habit.is_seldom)
        else {
            self.hold(glance.credentials);
            return NOTHING;
        };
        if now.since(habit.last) > REST {
            self.forget(glance.asker);
            self.hold(glance.credentials);
            return NOTHING;
        }
        habit.last = now;
        let sight = self.sightings.see(glance.question, window, now);
        if sight == Sight::First {
            habit.unrepeated = ENOUGH.min(habit.unrepeated + 1);
            habit.new += 1;
            if is_sent || habit.new < SHARE || now.since(habit.filled) < SHARE_EVERY {
                habit.passed += 1;
                self.passes(glance.credentials);
                return Look::Pass;
            }
            (habit.new, habit.filled) = (0, now);
        }
        let mut passed = 0;
        if is_sent {
            habit.passed += 1;
        } else {
            passed = std::mem::take(&mut habit.passed);
        }
        if sight != Sight::First {
            self.hold(glance.credentials);
        }
        if sight == Sight::Second {
            self.repeated(glance.asker);
        }
        Look::Ask { is_repeated: sight != Sight::First, passed }
    }

    /// A fill of a new question was answered well.
    pub fn filled(&mut self, asker: Asker, now: BootTime) {
        if self.by_asker.len() >= MOST && !self.by_asker.contains_key(&asker) {
            self.forget_half();
        }
        let habit = self.by_asker.entry(asker).or_insert(Habit {
            unrepeated: 0,
            is_seldom: false,
            last: now,
            new: 0,
            filled: now,
            passed: 0,
        });
        if now.since(habit.last) > REST && !habit.is_seldom {
            habit.unrepeated = 0;
        }
        habit.last = now;
        habit.unrepeated = ENOUGH.min(habit.unrepeated + 1);
        if habit.unrepeated == ENOUGH && !habit.is_seldom {
            habit.is_seldom = true;
            self.seldom += 1;
        }
    }

    /// A new question was repeated while its answer served.
    pub fn repeated(&mut self, asker: Asker) {
        let Some(habit) = self.by_asker.get_mut(&asker) else { return };
        habit.unrepeated = habit.unrepeated.saturating_sub(WORTH);
        if habit.unrepeated == 0 && habit.is_seldom {
            habit.is_seldom = false;
            self.seldom -= 1;
        }
    }

    fn passes(&mut self, credentials: Credentials) {
        if self.passed.len() >= MOST && !self.passed.contains_key(&credentials) {
            self.passed.clear();
        }
        *self.passed.entry(credentials).or_default() += 1;
    }

    fn forget(&mut self, asker: Asker) {
        let habit = self.by_asker.remove(&asker);
        self.seldom -= usize::from(habit.is_some_and(|habit| habit.is_seldom));
    }

    fn forget_half(&mut self) {
        let mut last: Vec<BootTime> = self.by_asker.values().map(|habit| habit.last).collect();
        let (_, median, _) = last.select_nth_unstable(MOST / 2);
        let median = *median;
        self.by_asker.retain(|_, habit| habit.last > median);
        self.seldom = self.by_asker.values().filter(|habit| habit.is_seldom).count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(5);
    const NOTHING: Look = Look::Ask { is_repeated: false, passed: 0 };
    const REPEATED: bool = true;

    fn at(milliseconds: u64) -> BootTime {
        BootTime::from_nanos(milliseconds * 1_000_000)
    }

    fn glance(asker: u64, question: u64) -> Glance {
        Glance { credentials: Credentials(asker), asker: Asker(asker), question }
    }

    /// Asks a question, and fills it if it is not passed on.
    fn ask(repeats: &mut Repeats, asker: u64, question: u64, now: u64) -> Look {
        let look = repeats.look(glance(asker, hash(question)), WINDOW, false, at(now));
        if matches!(look, Look::Ask { is_repeated: false, .. }) {
            repeats.filled(Asker(asker), at(now));
        }
        look
    }

    /// An asker that has asked so many new questions.
    fn after(questions: u64) -> Repeats {
        let mut repeats = Repeats::default();
        for question in 0..questions {
            assert_eq!(NOTHING, ask(&mut repeats, 1, question, question));
        }
        repeats
    }

    #[test]
    fn after_64_new_questions_that_nobody_repeats_a_new_one_is_passed_on() {
        let mut repeats = after(64);

        assert_eq!(Look::Pass, ask(&mut repeats, 1, 100, 100));
        assert_eq!(NOTHING, ask(&mut repeats, 2, 100, 100), "another asker");
        assert!(repeats.are_seldom() && !after(63).are_seldom());
    }

    #[test]
    fn the_second_time_it_is_asked_in_the_window_it_is_not_passed_on() {
        let mut repeats = after(64);
        assert_eq!(Look::Pass, ask(&mut repeats, 1, 100, 100));

        let again = Look::Ask { is_repeated: REPEATED, passed: 1 };
        assert_eq!(again, ask(&mut repeats, 1, 100, 5000));
        let more = Look::Ask { is_repeated: REPEATED, passed: 0 };
        assert_eq!(more, ask(&mut repeats, 1, 100, 9900));
        assert_eq!(Look::Pass, ask(&mut repeats, 1, 100, 15_000), "longer ago");
    }

    #[test]
    fn repetitions_end_it() {
        let mut repeats = after(64);
        for question in [100, 101] {
            assert_eq!(Look::Pass, ask(&mut repeats, 1, question, 100));
        }
        for question in [100, 100, 100] {
            ask(&mut repeats, 1, question, 101);
            assert!(repeats.are_seldom(), "one question that is hot says nothing of the others");
        }
        ask(&mut repeats, 1, 101, 101);

        assert!(!repeats.are_seldom());
        assert_eq!(NOTHING, ask(&mut repeats, 1, 102, 102));
    }

    #[test]
    fn where_one_of_32_new_questions_is_repeated_all_are_filled() {
        let mut repeats = Repeats::default();
        for question in 0..10_000 {
            assert_eq!(NOTHING, ask(&mut repeats, 1, question, question));
            if question % 30 == 0 {
                repeats.repeated(Asker(1));
            }
        }
        for question in 0..10_000 {
            ask(&mut repeats, 1, question, 10_000 + question);
            if question % 40 == 0 {
                repeats.repeated(Asker(1));
            }
        }
        assert!(repeats.are_seldom());
    }

    #[test]
    fn one_of_32_is_filled_all_the_same_and_at_most_one_in_two_seconds() {
        for (pace, expected) in [(100, 10_000 / 32), (1, 10_000 / 2000)] {
            let mut repeats = after(64);
            let looks =
                (0..10_000).map(|number| ask(&mut repeats, 1, 1000 + number, 1000 + number * pace));
            let filled = looks.filter(|look| *look != Look::Pass);
            let passed: Vec<u64> = filled
                .map(|look| match look {
                    Look::Ask { is_repeated: false, passed } => passed,
                    other => panic!("{other:?}"),
                })
                .collect();
            assert!(passed.len().abs_diff(expected) <= 1, "{pace}: {} filled", passed.len());
            let all = passed.len() as u64 + passed.iter().sum::<u64>();
            let last = 10_000 / expected as u64;
            assert!((10_000 - last..=10_000).contains(&all), "{all} are counted");
        }
    }

    #[test]
    fn it_is_forgotten_after_a_minute_without_questions() {
        let mut repeats = after(64);
        assert_eq!(NOTHING, ask(&mut repeats, 1, 100, 60_064));
        assert!(!repeats.are_seldom());

        let mut repeats = after(63);
        ask(&mut repeats, 1, 100, 60_063);
        assert!(!repeats.are_seldom());
    }

    #[test]
    fn many_askers_are_bounded_and_one_that_goes_on_stays() {
        let mut repeats = after(64);
        for number in 100..100_000 {
            ask(&mut repeats, number, number, number);
            ask(&mut repeats, 1, number, number);
            assert!(repeats.are_seldom(), "{number}");
        }
        assert!(repeats.by_asker.len() <= MOST);
    }

    #[test]
    fn after_256_reads_that_pass_most_are_sent_at_once_until_one_is_repeated() {
        let mut repeats = after(64);
        let is_sent = |repeats: &Repeats| repeats.is_sent_at_once(Credentials(1));
        for question in 0..300 {
            ask(&mut repeats, 1, 1000 + question, 100);
        }
        assert!(is_sent(&repeats) && !repeats.is_sent_at_once(Credentials(2)));
        let sent = (0..1600).filter(|number| {
            let sent = is_sent(&repeats);
            repeats.look(glance(1, hash(5000 + number)), WINDOW, sent, at(200));
            sent
        });
        assert_eq!(1500, sent.count());

        assert!(is_sent(&repeats));
        let again = repeats.look(glance(1, hash(5000)), WINDOW, true, at(200));
        assert_eq!(Look::Ask { is_repeated: REPEATED, passed: 0 }, again);
        assert!(!is_sent(&repeats), "the next one is held, and may be a hit");
    }

    #[test]
    fn a_read_of_another_collection_is_held() {
        let mut repeats = after(64);
        for question in 0..300 {
            ask(&mut repeats, 1, 1000 + question, 100);
        }
        let other = Glance { asker: Asker(7), ..glance(1, 1) };
        assert_eq!(NOTHING, repeats.look(other, WINDOW, true, at(100)));
        assert!(!repeats.is_sent_at_once(Credentials(1)));
    }

    fn hash(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}
