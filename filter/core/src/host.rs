//! The ports: what the filter needs of the proxy that runs it, one trait for each kind of need.
//!
//! All of them are implemented by one value, which stands for one HTTP stream while one hook runs.

pub mod body;
pub mod clock;
pub mod counters;
#[cfg(test)]
pub mod fake;
pub mod own_call;
pub mod request;
pub mod response;
pub mod wake;

use crate::host::response::LocalReply;

/// What the proxy does with the part of a request that a hook has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes it on, after everything that it holds of the request.
    Continue,
    /// It holds it until a later hook of the stream, or `on_wake`, returns `Continue`.
    Hold,
    /// It drops the request and sends this response.
    Reply(LocalReply),
}

/// What the proxy does with the part of a response that a hook has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It passes them on, after everything that it holds of them.
    Continue,
    /// It holds them until a later hook of the stream returns `Continue`.
    Hold,
}
