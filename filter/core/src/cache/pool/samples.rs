//! Timestamps of Milvus, and when they were asked for.

use std::collections::VecDeque;
use std::time::Duration;

use crate::host::clock::BootTime;

/// How often a timestamp is asked for, at most.
const EVERY: Duration = Duration::from_millis(200);
/// A request for one that takes longer is taken for lost, and the next one is due.
const LOST: Duration = Duration::from_secs(1);
/// The most samples. At one each 200 ms they reach back further than any bound.
const MOST: usize = 64;
/// Milvus's timestamps have milliseconds above this many bits of a counter.
const LOGICAL_BITS: u32 = 18;

/// An AllocTimestamp sent at `sent` returned `timestamp`: every write that was acknowledged to any client before `sent`
/// has a timestamp below `timestamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sample {
    pub sent: BootTime,
    pub timestamp: u64,
}

#[derive(Debug, Default)]
pub struct Samples {
    /// In their order.
    kept: VecDeque<Sample>,
    /// The timestamp that came last.
    last: u64,
    /// When the last one was asked for.
    asked: Option<BootTime>,
    in_flight: usize,
    /// How often all samples were dropped because the endpoints were replaced.
    drops: u64,
}

impl Samples {
    /// Whether a sample may be asked for now. It counts as asked for if so.
    pub fn is_due(&mut self, now: BootTime) -> bool {
        let wait = if self.in_flight > 0 { LOST } else { EVERY };
        let is_due = self.asked.is_none_or(|asked| now.since(asked) >= wait);
        if is_due {
            self.asked = Some(now);
        }
        is_due
    }

    /// Begins a request; `ended` and `add` take what this returns.
    pub fn begin(&mut self) -> u64 {
        self.in_flight += 1;
        self.drops
    }

    pub fn ended(&mut self) {
        self.in_flight -= 1;
    }

    /// Adds a sample. False: its timestamp is below the last one, so it comes from another Milvus, and all samples from
    /// before it are dropped.
    pub fn add(&mut self, sample: Sample, begun: u64) -> bool {
        if begun != self.drops {
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

    #[test]
    fn one_is_due_each_200_ms_and_a_lost_one_is_replaced_after_a_second() {
        let mut samples = Samples::default();
        assert!(samples.is_due(at(0)));
        assert!(!samples.is_due(at(199)));
        assert!(samples.is_due(at(200)));
        samples.begin();
        assert!(!samples.is_due(at(1199)));
        assert!(samples.is_due(at(1200)));
        samples.ended();
        assert!(samples.is_due(at(1400)));
    }

    #[test]
    fn the_number_of_samples_is_bounded_and_the_newest_stay() {
        let mut samples = Samples::default();
        for number in 0..1000 {
            assert!(samples.add(sample(number * 200, number), 0));
        }
        let second = Duration::from_secs(1);
        assert_eq!(MOST, samples.kept.len());
        assert_eq!(Some(sample(199_000, 995)), samples.for_fill(at(200_000), second, second * 5));
    }

    #[test]
    fn a_sample_that_was_asked_of_other_endpoints_is_dropped() {
        let mut samples = Samples::default();
        let begun = samples.begin();
        samples.drop_all();

        assert!(samples.add(sample(0, 5), begun));
        assert_eq!(None, samples.age(at(0)));
        assert!(samples.add(sample(1, 4), samples.drops), "the timestamps of before say nothing");
        assert_eq!(Some(Duration::ZERO), samples.age(at(1)));
    }

    #[test]
    fn samples_that_come_in_another_order_are_put_in_order() {
        let mut samples = Samples::default();
        assert!(samples.add(sample(500, 7), 0));
        assert!(samples.add(sample(0, 7), 0));
        assert_eq!(Some(Duration::from_millis(100)), samples.age(at(600)));
        let lag = Duration::from_millis(200);
        assert_eq!(Some(sample(0, 7)), samples.for_fill(at(600), lag, lag * 5));
    }

    #[test]
    fn a_timestamp_is_ahead_of_the_newest_sample_and_the_time_since() {
        let mut samples = Samples::default();
        assert_eq!(Duration::MAX, samples.ahead(1, at(0)));
        samples.add(sample(1000, 50_000 << LOGICAL_BITS), 0);
        assert_eq!(Duration::ZERO, samples.ahead(50_400 << LOGICAL_BITS, at(1400)));
        assert_eq!(Duration::from_millis(600), samples.ahead(51_000 << LOGICAL_BITS, at(1400)));
        assert!(samples.ahead(u64::MAX, at(1400)) > Duration::from_secs(1_000_000));
    }
}
