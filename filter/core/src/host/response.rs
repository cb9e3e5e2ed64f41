//! The response's headers and trailers, and a response of the filter's own.

use std::sync::Arc;

/// The headers and trailers of the response.
pub trait Response {
    /// The first value of a response header.
    fn response_header(&self, name: &str) -> Option<&[u8]>;

    /// Sets a response header in place of every value it has; only until the headers are passed on.
    fn set_response_header(&mut self, name: &str, value: &str);

    /// Removes a response header; only until the headers are passed on.
    fn remove_response_header(&mut self, name: &str);

    /// The first value of a response trailer; only in the trailers' hook.
    fn response_trailer(&self, name: &str) -> Option<&[u8]>;

    /// Sets a response trailer in place of every value it has; only in the trailers' hook.
    fn set_response_trailer(&mut self, name: &str, value: &str);
}

/// A response of the filter's own, in place of Milvus's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalReply {
    /// Of a gRPC call: one framed message and the gRPC status OK.
    Message(Vec<u8>),
    /// Of a gRPC call: the body of an earlier answer, with one more header.
    Stored { header: (&'static str, String), body: Arc<[u8]> },
    /// Of any other request: an HTTP status, JSON, and after how many seconds the request may be tried again.
    Json { status: u16, retry_after: Option<u64>, body: String },
}
