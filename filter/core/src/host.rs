//! The ports: what the filter needs of the proxy that runs it, one trait for each kind of need.
//!
//! All of them are implemented by one value, which stands for one HTTP stream while one hook runs.

pub mod body;
pub mod clock;
pub mod counters;
#[cfg(test)]
pub mod fake;
pub mod request;
pub mod response;

/// What the proxy does with the headers or the part of a body that a hook has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It passes them on, after everything that it holds of them.
    Continue,
    /// It holds them until a later hook of the stream returns `Continue`.
    Hold,
}
