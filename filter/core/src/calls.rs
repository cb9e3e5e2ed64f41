//! What is counted of calls by collection, by user and by endpoint, for metrics and `kiteway top`.
//!
//! These are not Envoy's statistics. Envoy looks each label up by its text, for every statistic and every call, and never
//! forgets one. Here a call finds its place once for all that is counted of it, places are bounded, and idle ones are
//! used again.

mod known;
pub mod pool;
pub mod report;
mod table;
pub mod tally;
mod times;

pub use table::{Shows, Subject};
pub use tally::{Cached, Event, Outcome, Size};
