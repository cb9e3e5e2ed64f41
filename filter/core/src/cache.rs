//! The cache of reads: docs/design/cache.md has the statement that it implements, and the proof.
//!
//! `question` reads what a request asks for; `pool` decides which reads are answered from what is stored.

pub mod caller;
pub mod planted;
pub mod pool;
pub mod question;
pub mod read;
pub mod reason;
pub mod report;
