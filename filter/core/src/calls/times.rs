//! How long calls took: a histogram.

/// The upper bounds of the buckets, in microseconds; a last bucket has what is longer.
pub const BOUNDS: [u64; 27] = [
    500, 1_000, 1_500, 2_000, 3_000, 5_000, 7_000, 10_000, 15_000, 20_000, 30_000, 50_000, 70_000,
    100_000, 150_000, 200_000, 300_000, 500_000, 700_000, 1_000_000, 1_500_000, 2_000_000,
    3_000_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// A histogram of times.
#[derive(Clone, Debug, Default)]
pub struct Times {
    counts: [u64; BOUNDS.len() + 1],
    sum: u64,
}

impl Times {
    /// Adds a time in microseconds.
    pub fn record(&mut self, micros: u64) {
        self.counts[BOUNDS.partition_point(|bound| *bound < micros)] += 1;
        self.sum = self.sum.saturating_add(micros);
    }

    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// How many times are in each bucket.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The sum of all, in microseconds.
    pub fn sum(&self) -> u64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        for (micros, bucket) in
            [(0, 0), (500, 0), (501, 1), (60_000_000, 26), (60_000_001, 27), (u64::MAX, 27)]
        {
            let mut times = Times::default();
            times.record(micros);

            assert_eq!(Some(bucket), times.counts().iter().position(|count| *count == 1));
            assert_eq!(micros, times.sum());
        }
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn histograms_are_added_bucket_by_bucket() {
        let (mut one, mut other) = (Times::default(), Times::default());
        one.record(100);
        other.record(200);
        other.record(5_000);

        one.add(&other);

        assert_eq!((2, 1, 5_300), (one.counts()[0], one.counts()[5], one.sum()));
    }
}
