//! The state of a pool: which reads are answered from what is stored, which wait for a call in flight, and what is sent.
//!
//! | condition of docs/design/cache.md | where it is |
//! |---|---|
//! | `SAMPLE_SEND` | `tickets`: `SampleTicket::answered` |
//! | `SAMPLE_POOL`, `KEY_POOL` | `registry`: each pool has its own state |
//! | `SAMPLE_BACK` | `samples`: `Samples::add`; `tickets`: `SampleTicket::answered` |
//! | `SAMPLE_ENDPOINTS` | `samples`: `Samples::drop_all` and `Samples::add` |
//! | `FILL_YOUNG` | `samples`: `Samples::for_fill` |
//! | `FILL_LABEL`, `FILL_MAX`, `EVENTUAL_SEND` | `control`: `Control::label` |
//! | `FILL_GUARANTEE` | `calls`: `Fill::ask_for`; the sender of the read appends it |
//! | `FILL_GOOD`, `JOIN_GOOD` | `calls`: `Fill::finish` is called for a good answer; without it, nothing is stored |
//! | `FILL_GENERATION` | `calls`: `Fill::store` |
//! | `FILL_OPEN` | `ask`: `Asked::fill`; `calls`: `Seat::lead` |
//! | `HIT_AGE`, `HIT_GUARANTEE`, `HIT_DEFAULT_GUARANTEE`, `HIT_GENERATION`, `HIT_OPEN` | `ask`: `Asked::may_hit` |
//! | `JOIN_AGE`, `JOIN_GUARANTEE`, `JOIN_GENERATION`, `JOIN_OPEN` | `ask`: `Asked::may_join` |
//! | `STRONG_HIT`, `STRONG_JOIN` | `ask`: `Asked::level` |
//! | `EVENTUAL_APART` | `entries`: `EntryKey` |
//! | `LEVEL_UNKNOWN` | `ask`: `Asked::level` |
//! | `LEVEL_EXPIRES`, `LEVEL_GENERATION` | `facts`: `Learned::is_valid` |
//! | `LEVEL_SEND`, `LEVEL_OPEN` | `tickets`: `Pool::level_ticket` |
//! | `LEVEL_HEADERS` | `facts`: `CollectionKey` |
//! | `CLOSE_SEEN`, `CLOSE_OVERLAP` | `generation`: `Generation::begin`, `Generation::is_open` |
//! | `BUMP_SUCCESS`, `SETTLE_CLOSED` | `generation`: `Generation::changed` |
//! | `BUMP_UNCERTAIN` | `changes`: `Change::ends` |
//! | `BUMP_ENDPOINTS` | `control`: `Control::configure` |
//!
//! The callers of the pool do the rest: `CLOCK_SUSPEND` (the clock), `HIT_COMPLETE` (`now` in `ask`), `BUMP_RELEASE` (when `ends` is
//! called), `FILL_LEVEL` and `FILL_DEFAULT` (the rewritten request), `STRUCTURAL_…` and all other `KEY_…` (the question).
//!
//! Locks: that of a shard first, then that of the control or of a follower. Nothing else is locked under those.

mod allowance;
mod ask;
mod callers;
mod calls;
mod changes;
mod control;
mod doorkeeper;
mod entries;
mod facts;
mod flights;
mod generation;
mod outcomes;
mod pace;
pub mod prompt;
pub mod registry;
mod repeats;
mod samples;
mod sightings;
mod state;
mod store;
mod tickets;

pub use ask::{Decision, Patience};
pub use calls::{Fill, Hit, Outcome, Seat, Watch};
pub use changes::{Change, Ended};
pub use control::{PoolTerms, Terms};
pub use outcomes::Counts;
pub use repeats::Look;
pub use state::{Pool, Report, Reserved};
pub use tickets::{Due, LevelTicket, SampleTicket};

#[cfg(test)]
mod tests;
