//! The cache's part of the filter in a listener. `crate::cache` decides; this holds, answers, rewrites and copies.

mod answer;
mod asking;
mod change;
mod client_call;
pub mod config;
mod held;
mod learning;
mod own_calls;
pub mod route;
pub mod visit;

#[cfg(test)]
mod tests;
