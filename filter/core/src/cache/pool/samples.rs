//! Timestamps of Milvus, and when they were asked for.

use std::collections::VecDeque;
use std::time::Duration;

use crate::host::clock::BootTime;

/// How often a timestamp is asked for, at most, on behalf of callers that are known.
const EVERY: Duration = Duration::from_millis(200);
/// The same where it is not urgent, and on behalf of callers that are not known. Those are counted separately, so that a
/// stranger whom Milvus refuses delays no timestamp of a known caller.
const SELDOM: Duration = Duration::from_secs(1);
/// After a request without a good answer the next one is due so soon.
const AGAIN: Duration = Duration::from_millis(20);
/// A request for a timestamp that has no answer for so long counts as lost, and the next one is due.
const LOST: Duration = Duration::from_secs(1);
/// The most samples. At one each 200 ms they reach back further than any bound.
const MOST: usize = 64;
/// Milvus's timestamps have milliseconds above this many bits of a counter.
pub const LOGICAL_BITS: u32 = 18;

/// An AllocTimestamp sent at `sent` returned `timestamp`: every write that was acknowledged to any client before `sent`
/// has a timestamp below `timestamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sample {
    pub sent: BootTime,
    pub timestamp: u64,
}

#[derive(Debug, Default)]
pub struct Samples {
    /// In the order in which they were requested.
    kept: VecDeque<Sample>,
    /// The timestamp that came last.
    last: u64,
    known: Turns,
    unknown: Turns,
    /// How often all samples were dropped because the endpoints were replaced.
    drops: u64,
}

/// When timestamps are asked for.
#[derive(Debug, Default)]
struct Turns {
    /// When the last one was asked for.
    asked: Option<BootTime>,
    in_flight: usize,
    /// Whether the last one had no good answer.
    has_failed: bool,
}

/// A request for a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    sent: BootTime,
    is_known: bool,
    drops: u64,
}

impl Samples {
    /// Whether a sample should be asked for now, on behalf of a caller that is known or not. `is_urgent`: a read may soon
    /// need it.
    pub fn is_due(&self, is_known: bool, is_urgent: bool, now: BootTime) -> bool {
        let turns = if is_known { &self.known } else { &self.unknown };
        let wait = match turns {
            Turns { in_flight: 1.., .. } => LOST,
            _ if !is_known => SELDOM,
            Turns { has_failed: true, .. } => AGAIN,
            _ if is_urgent => EVERY,
            _ => SELDOM,
        };
        turns.asked.is_none_or(|asked| now.since(asked) >= wait)
    }

    /// Begins a request; `ended` and `add` take what this returns.
    pub fn begin(&mut self, is_known: bool, sent: BootTime) -> Begun {
        let turns = self.turns(is_known);
        turns.asked = Some(sent);
        turns.in_flight += 1;
        Begun { sent, is_known, drops: self.drops }
    }

    /// A request has ended, with a good answer or without.
    pub fn ended(&mut self, begun: Begun, is_good: bool) {
        let turns = self.turns(begun.is_known);
        turns.in_flight -= 1;
        if turns.asked == Some(begun.sent) {
            turns.has_failed = !is_good;
        }
    }

    fn turns(&mut self, is_known: bool) -> &mut Turns {
        if is_known {
            &mut self.known
        } else {
            &mut self.unknown
        }
    }

    /// Adds a sample. False: its timestamp is below the last one, so it comes from another Milvus, and all samples from
    /// before it are dropped.
    pub fn add(&mut self, sample: Sample, begun: Begun) -> bool {
        if begun.drops != self.drops {
            return true;
        }
        let is_later = sample.timestamp >= self.last;
        if !is_later {
            self.kept.clear();
        }
        self.last = sample.timestamp;
        let place = self.kept.partition_point(|kept| *kept <= sample);
        self.kept.insert(place, sample);
        if self.kept.len() > MOST {
            self.kept.pop_front();
        }
        is_later
    }

    /// Drops all samples, also those that have been asked for.
    pub fn drop_all(&mut self) {
        self.drops += 1;
        self.last = 0;
        self.kept.clear();
    }

    /// What a fill may ask for: the newest sample that is at least `lag` and at most `bound` old.
    pub fn for_fill(&self, now: BootTime, lag: Duration, bound: Duration) -> Option<Sample> {
        let old_enough = self.kept.iter().rev().find(|kept| now.since(kept.sent) >= lag)?;
        (now.since(old_enough.sent) <= bound).then_some(*old_enough)
    }

    /// How old the newest sample is.
    pub fn age(&self, now: BootTime) -> Option<Duration> {
        Some(now.since(self.kept.back()?.sent))
    }

    /// How far a timestamp is ahead of what Milvus's timestamps should be now, judged by the newest sample.
    pub fn ahead(&self, timestamp: u64, now: BootTime) -> Duration {
        let Some(newest) = self.kept.back() else { return Duration::MAX };
        let milliseconds = |timestamp: u64| Duration::from_millis(timestamp >> LOGICAL_BITS);
        let should_be = milliseconds(newest.timestamp) + now.since(newest.sent);
        milliseconds(timestamp).saturating_sub(should_be)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> BootTime {
        BootTime::from_nanos(milliseconds * 1_000_000)
    }

    fn sample(sent: u64, timestamp: u64) -> Sample {
        Sample { sent: at(sent), timestamp }
    }

    /// Whether one is due for a caller that is known.
    fn is_due(samples: &Samples, milliseconds: u64) -> bool {
        samples.is_due(true, true, at(milliseconds))
    }

    #[test]
    fn one_is_due_each_200_ms_and_a_lost_one_is_replaced_after_a_second() {
        let mut samples = Samples::default();
        assert!(is_due(&samples, 0));
        let begun = samples.begin(true, at(0));
        assert!(!is_due(&samples, 999));
        assert!(is_due(&samples, 1000));
        samples.ended(begun, true);
        assert!(!is_due(&samples, 199));
        assert!(is_due(&samples, 200));
        assert!(!samples.is_due(true, false, at(999)));
        assert!(samples.is_due(true, false, at(1000)));
    }

    #[test]
    fn a_request_that_fails_gives_its_turn_back() {
        let mut samples = Samples::default();
        let begun = samples.begin(true, at(0));
        samples.ended(begun, false);
        assert!(!is_due(&samples, 19));
        assert!(is_due(&samples, 20));
        let (old, new) = (samples.begin(true, at(20)), samples.begin(true, at(1020)));
        samples.ended(new, true);
        samples.ended(old, false);
        assert!(!is_due(&samples, 1219));
    }

    #[test]
    fn callers_that_are_not_known_have_one_turn_a_second_of_their_own() {
        let mut samples = Samples::default();
        for second in 0..5 {
            let now = second * 1000;
            assert!(samples.is_due(false, true, at(now)));
            let begun = samples.begin(false, at(now));
            samples.ended(begun, false);
            assert!(!samples.is_due(false, true, at(now + 999)));
            assert!(is_due(&samples, now));
        }
    }

    #[test]
    fn the_number_of_samples_is_bounded_and_the_newest_stay() {
        let mut samples = Samples::default();
        let begun = samples.begin(true, at(0));
        for number in 0..1000 {
            assert!(samples.add(sample(number * 200, number), begun));
        }
        let second = Duration::from_secs(1);
        assert_eq!(MOST, samples.kept.len());
        assert_eq!(Some(sample(199_000, 995)), samples.for_fill(at(200_000), second, second * 5));
    }

    #[test]
    fn a_sample_that_was_asked_of_other_endpoints_is_dropped() {
        let mut samples = Samples::default();
        let begun = samples.begin(true, at(0));
        samples.drop_all();

        assert!(samples.add(sample(0, 5), begun));
        assert_eq!(None, samples.age(at(0)));
        let begun = samples.begin(true, at(1));
        assert!(samples.add(sample(1, 4), begun), "the timestamps of before say nothing");
        assert_eq!(Some(Duration::ZERO), samples.age(at(1)));
    }

    #[test]
    fn samples_that_come_in_another_order_are_put_in_order() {
        let mut samples = Samples::default();
        let begun = samples.begin(true, at(0));
        assert!(samples.add(sample(500, 7), begun));
        assert!(samples.add(sample(0, 7), begun));
        assert_eq!(Some(Duration::from_millis(100)), samples.age(at(600)));
        let lag = Duration::from_millis(200);
        assert_eq!(Some(sample(0, 7)), samples.for_fill(at(600), lag, lag * 5));
    }

    #[test]
    fn a_timestamp_is_ahead_of_the_newest_sample_and_the_time_since() {
        let mut samples = Samples::default();
        assert_eq!(Duration::MAX, samples.ahead(1, at(0)));
        let begun = samples.begin(true, at(0));
        samples.add(sample(1000, 50_000 << LOGICAL_BITS), begun);
        assert_eq!(Duration::ZERO, samples.ahead(50_400 << LOGICAL_BITS, at(1400)));
        assert_eq!(Duration::from_millis(600), samples.ahead(51_000 << LOGICAL_BITS, at(1400)));
        assert!(samples.ahead(u64::MAX, at(1400)) > Duration::from_secs(1_000_000));
    }
}
