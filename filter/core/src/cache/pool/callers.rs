//! The callers to which Milvus has lately given a good answer. Other clients can send calls, but not with their credentials.

use std::time::Duration;

use crate::cache::caller::Caller;
use crate::cache::question::keyed_hash::DigestMap;
use crate::host::clock::BootTime;

/// The most callers. Past it, the half that was answered well longest ago is forgotten.
const MOST: usize = 4096;
/// A caller is forgotten so long after its last good answer.
const VALID: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub struct Callers {
    answered: DigestMap<Caller, BootTime>,
}

impl Callers {
    pub fn knows(&self, caller: &Caller, now: BootTime) -> bool {
        self.answered.get(caller).is_some_and(|answered| now.since(*answered) <= VALID)
    }

    /// Milvus has answered a call well.
    pub fn answered(&mut self, caller: Caller, now: BootTime) {
        if self.answered.len() >= MOST && !self.answered.contains_key(&caller) {
            let mut times: Vec<BootTime> = self.answered.values().copied().collect();
            let (_, median, _) = times.select_nth_unstable(MOST / 2);
            let median = *median;
            self.answered.retain(|_, answered| *answered > median);
        }
        self.answered.insert(caller, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> BootTime {
        BootTime::from_nanos(milliseconds * 1_000_000)
    }

    fn caller(number: u64) -> Caller {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_le_bytes());
        Caller(digest)
    }

    #[test]
    fn a_caller_is_known_for_ten_minutes_after_a_good_answer() {
        let mut callers = Callers::default();
        assert!(!callers.knows(&caller(1), at(0)));
        callers.answered(caller(1), at(0));

        assert!(callers.knows(&caller(1), at(600_000)));
        assert!(!callers.knows(&caller(1), at(600_001)));
        assert!(!callers.knows(&caller(2), at(0)));
    }

    #[test]
    fn many_callers_are_bounded_and_one_in_use_stays() {
        let mut callers = Callers::default();
        for number in 1..100_000 {
            callers.answered(caller(0), at(number));
            callers.answered(caller(number), at(number));
            assert!(callers.knows(&caller(0), at(number)), "{number}");
        }
        assert!(callers.answered.len() <= MOST);
    }
}
