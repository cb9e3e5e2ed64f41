//! The time.

use std::ops::Add;
use std::time::{Duration, Instant};

/// The clocks, which never go back.
pub trait Clock {
    fn now(&self) -> Instant;

    /// The clock that also counts while the machine is suspended.
    fn boot_time(&self) -> BootTime;
}

/// The time since the machine started, including the time in which it was suspended (Linux's `CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(Duration);

impl BootTime {
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(Duration::from_nanos(nanos))
    }

    /// How long `earlier` is ago; 0 if it is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}
