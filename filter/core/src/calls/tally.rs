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

/// Counts of calls.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub calls: u64,
    errors: Vec<(Outcome, u64)>,
    other_errors: u64,
    pub size: Size,
    pub times: Times,
}

impl Tally {
    pub fn record(&mut self, outcome: Outcome, size: Size, micros: u64) {
        self.calls += 1;
        if outcome != Outcome::Success {
            self.count_error(outcome, 1);
        }
        self.add_size(size);
        self.times.record(micros);
    }

    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
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
            tally.record(outcome, Size { rows: 2, request_bytes: 3, response_bytes: 4 }, 10);
        }

        assert_eq!(["100=2", "UNAVAILABLE=1"], errors(&tally)[..]);
        assert_eq!((4, 8, 12, 16), {
            let size = tally.size;
            (tally.calls, size.rows, size.request_bytes, size.response_bytes)
        });
        assert_eq!(40, tally.times.sum());
    }

    #[test]
    fn an_endpoint_that_makes_codes_up_makes_no_labels() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        for code in 1..1_000 {
            one.record(Outcome::Milvus(code), Size::default(), 0);
            other.record(Outcome::Milvus(code + 5_000), Size::default(), 0);
        }

        one.add(&other);

        assert_eq!(MAX_ERRORS + 1, errors(&one).len());
        assert_eq!(1_998, one.errors().map(|(_, count)| count).sum::<u64>());
    }
}
