//! Calls of the filter's own.

use std::time::Duration;

/// A gRPC call that the filter makes itself, on behalf of a stream. It ends with the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnCall {
    /// The cluster that it is sent to.
    pub cluster: String,
    /// All headers, `:path` and `host` among them.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// One framed message.
    pub body: Vec<u8>,
    pub timeout: Duration,
}

/// Tells the calls of one stream apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnCallId(pub u64);

/// Makes such calls.
pub trait Caller {
    /// Begins a call. The hook `on_own_call_done` runs when it has ended. None: it cannot begin.
    fn start_call(&mut self, call: &OwnCall) -> Option<OwnCallId>;
}
