//! The time.

use std::time::Instant;

/// A clock that never goes back.
pub trait Clock {
    fn now(&self) -> Instant;
}
