//! The generation of a pool: what was stored before a structural change is not served after it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::host::clock::BootTime;

/// How long it stays closed after a change: Milvus's proxies notify each other within this time.
pub const SETTLE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct Generation {
    number: u64,
    /// Until when each structural call that is in progress closes it, and the call's number.
    changes: BTreeSet<(BootTime, u64)>,
    closed_until: Option<BootTime>,
    /// How many structural calls last as long as their stream.
    lasting: usize,
    calls: u64,
    has_started: bool,
}

/// A structural call in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InProgress(BootTime, u64);

impl Generation {
    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn is_open(&self, now: BootTime) -> bool {
        let last_change = self.changes.last().map(|(until, _)| *until);
        self.lasting == 0 && now_is_after(now, last_change) && now_is_after(now, self.closed_until)
    }

    /// The pool is used. At first it is closed: a change that an earlier process has seen may be in progress.
    pub fn starts(&mut self, now: BootTime) {
        if !std::mem::replace(&mut self.has_started, true) {
            self.close(now + SETTLE);
        }
    }

    pub fn bump(&mut self) {
        self.number += 1;
    }

    /// Sees a structural call: it closes the generation for at most `bound`.
    pub fn begin(&mut self, now: BootTime, bound: Duration) -> InProgress {
        self.calls += 1;
        let until = now + bound;
        self.changes.insert((until, self.calls));
        InProgress(until, self.calls)
    }

    /// A call that was seen has ended.
    pub fn ended(&mut self, InProgress(until, call): InProgress) {
        self.changes.remove(&(until, call));
    }

    /// A call succeeded, or its outcome is not known.
    pub fn changed(&mut self, now: BootTime) {
        self.bump();
        self.close(now + SETTLE);
    }

    /// A call that was seen has ended without an answer, so it may still be in progress.
    pub fn lost(&mut self, change: InProgress) {
        self.ended(change);
        self.bump();
        self.close(change.0);
    }

    /// A call makes changes as long as its stream lasts, which may be long.
    pub fn lasts(&mut self) {
        self.lasting += 1;
    }

    pub fn lasted(&mut self) {
        self.lasting -= 1;
    }

    fn close(&mut self, until: BootTime) {
        self.closed_until = self.closed_until.max(Some(until));
    }
}

fn now_is_after(now: BootTime, until: Option<BootTime>) -> bool {
    until.is_none_or(|until| now > until)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(5);

    fn at(milliseconds: u64) -> BootTime {
        BootTime::from_nanos(milliseconds * 1_000_000)
    }

    /// Milvus may have made the change: an Eventually answer from before would be served for long.
    #[test]
    fn a_call_that_is_lost_bumps_and_keeps_it_closed() {
        let mut generation = Generation::default();
        let change = generation.begin(at(0), BOUND);
        generation.lost(change);

        assert_eq!(1, generation.number());
        assert!(!generation.is_open(at(5000)));
        assert!(generation.is_open(at(5001)));
    }

    #[test]
    fn a_call_that_may_still_be_in_progress_bumps_and_keeps_it_closed() {
        for (answered, opens) in [(1000, 5001), (4500, 5501)] {
            let mut generation = Generation::default();
            let change = generation.begin(at(0), BOUND);
            generation.changed(at(answered));
            generation.lost(change);

            assert!(!generation.is_open(at(opens - 1)));
            assert!(generation.is_open(at(opens)));
        }
    }

    #[test]
    fn calls_that_are_refused_leave_nothing() {
        let mut generation = Generation::default();
        for number in 0..1000 {
            let change = generation.begin(at(number), BOUND);
            assert!(!generation.is_open(at(number)));
            generation.ended(change);
            assert!(generation.is_open(at(number)));
        }
        assert!(generation.changes.is_empty());
        assert_eq!(0, generation.number());
    }

    #[test]
    fn a_pool_is_closed_for_a_second_after_its_first_use() {
        let mut generation = Generation::default();
        for now in [0, 500, 1000] {
            generation.starts(at(now));
            assert!(!generation.is_open(at(now)));
        }
        assert!(generation.is_open(at(1001)));
    }

    #[test]
    fn a_call_that_lasts_keeps_it_closed() {
        let mut generation = Generation::default();
        generation.lasts();
        assert!(!generation.is_open(at(1_000_000)));
        generation.lasted();
        assert!(generation.is_open(at(1_000_000)));
    }
}
