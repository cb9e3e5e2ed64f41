//! How many DescribeCollections the cache may make: a read whose level is not known costs Milvus little, from any caller.

use std::time::Duration;

use crate::host::clock::BootTime;

/// The most in flight.
const MOST: usize = 8;
/// The most in flight of callers that are not known.
const MOST_UNKNOWN: usize = 2;
/// The most that begin in a second for callers that are not known.
const MOST_A_SECOND: usize = 10;
const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct Allowance {
    in_flight: usize,
    unknown: usize,
    /// When a second began, and how many have begun in it for callers that are not known.
    second: Option<(BootTime, usize)>,
}

impl Allowance {
    /// Whether one more may begin.
    pub fn allows(&self, is_known: bool, now: BootTime) -> bool {
        let begun = self.second.filter(|(began, _)| now.since(*began) < SECOND);
        let begun = begun.map_or(0, |(_, begun)| begun);
        self.in_flight < MOST
            && (is_known || (self.unknown < MOST_UNKNOWN && begun < MOST_A_SECOND))
    }

    pub fn begin(&mut self, is_known: bool, now: BootTime) {
        self.in_flight += 1;
        if is_known {
            return;
        }
        self.unknown += 1;
        match &mut self.second {
            Some((began, begun)) if now.since(*began) < SECOND => *begun += 1,
            second => *second = Some((now, 1)),
        }
    }

    pub fn ended(&mut self, is_known: bool) {
        self.in_flight -= 1;
        self.unknown -= usize::from(!is_known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> BootTime {
        BootTime::from_nanos(milliseconds * 1_000_000)
    }

    #[test]
    fn known_callers_have_eight_in_flight_and_unknown_ones_two_of_them() {
        for (is_known, most) in [(true, MOST), (false, MOST_UNKNOWN)] {
            let mut allowance = Allowance::default();
            for _ in 0..most {
                assert!(allowance.allows(is_known, at(0)));
                allowance.begin(is_known, at(0));
            }
            assert!(!allowance.allows(is_known, at(60_000)));
            assert_eq!(!is_known, allowance.allows(true, at(0)));
            allowance.ended(is_known);
            assert!(allowance.allows(is_known, at(60_000)));
        }
    }

    #[test]
    fn unknown_callers_begin_ten_a_second() {
        let mut allowance = Allowance::default();
        let mut begun = 0;
        for now in 0..10_000 {
            if allowance.allows(false, at(now)) {
                allowance.begin(false, at(now));
                allowance.ended(false);
                begun += 1;
            }
        }
        assert_eq!(100, begun);
    }
}
