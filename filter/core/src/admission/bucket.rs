//! A token bucket that may go into debt.

use std::time::{Duration, Instant};

/// How a bucket fills. The unit is what the limit counts: requests, rows or bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    per_second: f64,
    /// The most that is in the bucket.
    burst: f64,
}

impl Rate {
    /// A bucket that fills by `per_second` and holds what comes in `burst`, but at least 1: one call always may pass.
    pub fn new(per_second: f64, burst: Duration) -> Self {
        Self { per_second, burst: (per_second * burst.as_secs_f64()).max(1.0) }
    }
}

/// What is left of a rate. The size of a call is often known only when it has passed, so the level may fall below 0:
/// the next call waits until the debt is paid, and the rate holds on average.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self { level: rate.burst, at: now }
    }

    /// Fills the bucket up to `now`. Threads may bring times in another order; an earlier one changes nothing.
    pub fn fill(&mut self, rate: Rate, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at);
        self.level = (self.level + elapsed.as_secs_f64() * rate.per_second).min(rate.burst);
        self.at = self.at.max(now);
    }

    pub fn is_full(&self, rate: Rate) -> bool {
        self.level >= rate.burst
    }

    /// How long it takes until `amount` is in the bucket; None if it is there.
    pub fn wait(&self, rate: Rate, amount: f64) -> Option<Duration> {
        let missing = amount.min(rate.burst) - self.level;
        let wait = Duration::try_from_secs_f64(missing / rate.per_second);
        (missing > EPSILON).then(|| wait.unwrap_or(Duration::MAX))
    }

    /// Takes `amount`, or gives it back if it is negative.
    pub fn take(&mut self, amount: f64) {
        self.level -= amount;
    }
}

/// Below it a difference comes from rounding.
const EPSILON: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_holds_on_average_whatever_the_amounts() {
        let rate = Rate::new(100.0, Duration::from_millis(500));
        let began = Instant::now();
        let (mut bucket, mut taken) = (Bucket::full(rate, began), 0.0);
        for step in 0..60_000_u32 {
            bucket.fill(rate, began + Duration::from_millis(step.into()));
            let amount = f64::from(1 + step * 7 % 40);
            if bucket.wait(rate, 1.0).is_none() {
                bucket.take(amount);
                taken += amount;
            }
        }

        // 60 s, the burst, and the debt of the last call.
        assert!((6000.0..=6090.0).contains(&taken), "{taken}");
    }

    #[test]
    fn the_wait_is_the_time_until_the_amount_is_there() {
        let rate = Rate::new(10.0, Duration::ZERO);
        let began = Instant::now();
        let mut bucket = Bucket::full(rate, began);
        bucket.take(2.0);

        let wait = bucket.wait(rate, 1.0).unwrap();
        assert!(wait.abs_diff(Duration::from_millis(200)) < Duration::from_micros(1));
        bucket.fill(rate, began + wait + Duration::from_micros(1));
        assert_eq!(None, bucket.wait(rate, 1.0));
    }

    #[test]
    fn a_clock_that_is_behind_adds_nothing() {
        let rate = Rate::new(10.0, Duration::ZERO);
        let began = Instant::now() + Duration::from_secs(10);
        let mut bucket = Bucket::full(rate, began);
        bucket.take(1.0);
        for _ in 0..10 {
            bucket.fill(rate, began - Duration::from_secs(1));
            bucket.fill(rate, began);
        }

        assert!(bucket.wait(rate, 1.0).is_some());
    }

    #[test]
    fn a_tiny_rate_waits_long_and_does_not_overflow() {
        let rate = Rate::new(f64::MIN_POSITIVE, Duration::ZERO);
        let mut bucket = Bucket::full(rate, Instant::now());
        bucket.take(1.0);

        assert_eq!(Some(Duration::MAX), bucket.wait(rate, 1.0));
    }
}
