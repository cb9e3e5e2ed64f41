//! Whether Milvus answers the cache's own calls so promptly that a read may wait for them.

use std::time::Duration;

/// A read waits for a call of the cache's own so long at most. It is above what AllocTimestamp and DescribeCollection take on a
/// busy machine, 2 to 50 ms.
pub const LONGEST: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub struct Prompt {
    /// The last call took longer than `LONGEST`.
    is_late: bool,
    /// The last call ended with its read, before it was answered.
    was_cut_off: bool,
}

impl Prompt {
    /// Whether a read waits for its calls, where they are needed for it or else end with it. After one that was cut off the next one
    /// waits: otherwise reads that are answered faster than the calls would learn nothing.
    pub fn waits(&self, is_needed: bool) -> bool {
        (is_needed || self.was_cut_off) && !self.is_late
    }

    /// A call has ended, with a good answer or without.
    pub fn ended(&mut self, took: Duration) {
        self.is_late = took >= LONGEST;
        self.was_cut_off = false;
    }

    /// A call has ended with its read.
    pub fn cut_off(&mut self) {
        self.was_cut_off = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_wait_only_while_calls_are_prompt() {
        let mut prompt = Prompt::default();
        assert!(prompt.waits(true) && !prompt.waits(false));
        prompt.cut_off();
        assert!(prompt.waits(false));
        prompt.ended(LONGEST);
        assert!(!prompt.waits(true) && !prompt.waits(false));
        prompt.cut_off();
        assert!(!prompt.waits(true));
        prompt.ended(LONGEST / 2);
        assert!(prompt.waits(true) && !prompt.waits(false));
    }
}
