//! Random samples of the requests. No secret depends on the randomness.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

thread_local! {
    // The seeds of the standard library's hash maps are the only randomness it has.
    static STATE: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish());
}

/// Whether this request is in a sample of the share `rate`, 0 to 1, of all requests.
pub fn sampled(rate: f64) -> bool {
    let bits = STATE.with(|state| {
        state.set(state.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        mix(state.get())
    });
    f64::from((bits >> 32) as u32) < rate * 2_f64.powi(32)
}

/// The output function of `SplitMix64` (Steele, Lea and Flood, 2014).
fn mix(state: u64) -> u64 {
    let state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ state >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_and_none() {
        for _ in 0..1000 {
            assert!(sampled(1.0));
            assert!(!sampled(0.0));
        }
    }

    #[test]
    fn a_share_is_about_that_share() {
        let count = (0..10_000).filter(|_| sampled(0.25)).count();

        // Eight standard deviations of 43 around the mean.
        assert!((2_154..2_846).contains(&count), "{count}");
    }

    #[test]
    fn the_generator_is_the_published_one() {
        // SplitMix64 with the seed 0.
        assert_eq!(0xe220_a839_7b1d_cdaf, mix(0x9e37_79b9_7f4a_7c15));
    }
}
