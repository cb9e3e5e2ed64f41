//! What is counted of the calls that belong together.

use std::borrow::Cow;

use crate::calls::times::Times;

/// Kinds of errors that are told apart; all others are one. Which codes there are is said by the endpoints.
const MAX_ERRORS: usize = 16;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    /// Milvus's own error code, inside an answer whose transport was successful.
    Milvus(u64),
    /// The status of gRPC, or the class of that of HTTP; `none` for a call without an answer.
    Transport(&'static str),
}

impl Outcome {
    /// Whether Milvus, or something before it, did not let the caller in.
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::Transport("UNAUTHENTICATED" | "PERMISSION_DENIED" | "4xx"))
    }

    fn label(self) -> Cow<'static, str> {
        match self {
            Self::Success => Cow::Borrowed("0"),
            Self::Milvus(code) => Cow::Owned(code.to_string()),
            Self::Transport(status) => Cow::Borrowed(status),
        }
    }
}

/// The size of a call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Size {
    /// Rows written or found.
    pub rows: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
}

/// What a cache did with a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cached {
    /// It answered the read.
    Hit,
    /// It answered the read with the answer to an equal one.
    Joined,
    /// Milvus answers the read, and the answer may be kept.
    Miss,
    /// Milvus answers the read.
    Bypass,
}

impl Cached {
    /// All of them with their labels, in the order of their numbers.
    pub const LABELS: [&'static str; 4] = ["hit", "joined", "miss", "bypass"];

    pub fn label(self) -> &'static str {
        Self::LABELS[self as usize]
    }
}

/// What is counted of a call.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// An attempt at an endpoint has ended, or a cache has answered; `micros` is how long it took.
    Ended {
        outcome: Outcome,
        size: Size,
        micros: u64,
    },
    Cached(Cached),
    /// Reads like it were sent unchanged before it, so many: `bypass`.
    Passed(u64),
    /// It had its turn after so many microseconds.
    Waited(u64),
    /// A limit or the admission refused it.
    Refused,
}

/// Counts of calls.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub calls: u64,
    errors: Vec<(Outcome, u64)>,
    other_errors: u64,
    pub size: Size,
    pub times: Times,
    /// By the numbers of `Cached`.
    pub cached: [u64; Cached::LABELS.len()],
    pub refused: u64,
    pub waited: u64,
    /// Microseconds, of all that waited.
    pub wait: u64,
}

impl Tally {
    pub fn record(&mut self, event: Event) {
        match event {
            Event::Ended { outcome, size, micros } => {
                self.calls += 1;
                if outcome != Outcome::Success {
                    self.count_error(outcome, 1);
                }
                self.add_size(size);
                self.times.record(micros);
            }
            Event::Cached(cached) => self.cached[cached as usize] += 1,
            Event::Passed(reads) => self.cached[Cached::Bypass as usize] += reads,
            Event::Waited(micros) => {
                self.waited += 1;
                self.wait = self.wait.saturating_add(micros);
            }
            Event::Refused => self.refused += 1,
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.refused += other.refused;
        self.waited += other.waited;
        self.wait = self.wait.saturating_add(other.wait);
        for (sum, count) in self.cached.iter_mut().zip(other.cached) {
            *sum += count;
        }
        for (outcome, count) in &other.errors {
            self.count_error(*outcome, *count);
        }
        self.other_errors += other.other_errors;
        self.add_size(other.size);
        self.times.add(&other.times);
    }

    /// The errors by Milvus's code or by status.
    pub fn errors(&self) -> impl Iterator<Item = (Cow<'static, str>, u64)> + '_ {
        let known = self.errors.iter().map(|(outcome, count)| (outcome.label(), *count));
        let other = (self.other_errors > 0).then_some((Cow::Borrowed("other"), self.other_errors));
        known.chain(other)
    }

    fn count_error(&mut self, outcome: Outcome, count: u64) {
        if let Some((_, known)) = self.errors.iter_mut().find(|(known, _)| *known == outcome) {
            *known += count;
        } else if self.errors.len() < MAX_ERRORS {
            self.errors.push((outcome, count));
        } else {
            self.other_errors += count;
        }
    }

    fn add_size(&mut self, size: Size) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.size.rows, size.rows);
        add(&mut self.size.request_bytes, size.request_bytes);
        add(&mut self.size.response_bytes, size.response_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(tally: &Tally) -> Vec<String> {
        tally.errors().map(|(label, count)| format!("{label}={count}")).collect()
    }

    #[test]
    fn errors_are_counted_by_code_and_by_status() {
        let mut tally = Tally::default();
        for outcome in [
            Outcome::Success,
            Outcome::Milvus(100),
            Outcome::Transport("UNAVAILABLE"),
            Outcome::Milvus(100),
        ] {
            let size = Size { rows: 2, request_bytes: 3, response_bytes: 4 };
            tally.record(Event::Ended { outcome, size, micros: 10 });
        }

        assert_eq!(["100=2", "UNAVAILABLE=1"], errors(&tally)[..]);
        assert_eq!((4, 8, 12, 16), {
            let size = tally.size;
            (tally.calls, size.rows, size.request_bytes, size.response_bytes)
        });
        assert_eq!(40, tally.times.sum());
    }

    #[test]
    fn what_happens_to_a_call_on_its_way_is_counted_apart() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        for event in [Event::Cached(Cached::Hit), Event::Cached(Cached::Miss), Event::Waited(7)] {
            one.record(event);
            other.record(event);
        }
        other.record(Event::Refused);

        one.add(&other);

        assert_eq!(([2, 0, 2, 0], 2, 14, 1), (one.cached, one.waited, one.wait, one.refused));
        assert_eq!((0, 0), (one.calls, one.times.sum()));
    }

    #[test]
    fn an_endpoint_that_makes_codes_up_makes_no_labels() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        for code in 1..1_000 {
            let ended = |code| {
                let outcome = Outcome::Milvus(code);
                Event::Ended { outcome, size: Size::default(), micros: 0 }
            };
            one.record(ended(code));
            other.record(ended(code + 5_000));
        }

        one.add(&other);

        assert_eq!(MAX_ERRORS + 1, errors(&one).len());
        assert_eq!(1_998, one.errors().map(|(_, count)| count).sum::<u64>());
    }
}
