//! How "not ready" gets from an attempt to Envoy's router, and is gone before a client sees the response.
//!
//! The router's retry and outlier detection read `grpc-status` from the response's headers, where a
//! gRPC response with a message never has it. So the upstream filter adds it there. If the router retries, it throws
//! the response away. If it does not, it depends on the call:
//!
//! - One that may be repeated ends with UNAVAILABLE, so that the client may repeat it too: the upstream filter has
//!   dropped its message and says the same in its trailers.
//! - Any other gets the very answer of Milvus: the downstream filter, which its routes turn on, takes the mark off. A
//!   client that got UNAVAILABLE might send a write again.

#![forbid(unsafe_code)]

use crate::filter::Stream;

const MARK: &str = "kiteway-in-band";
const GRPC_STATUS: &str = "grpc-status";
const UNAVAILABLE: &str = "14";
const REFUSAL: &str = "kiteway: no endpoint that was asked is ready; nothing was done. Try again.";

/// Makes the router see UNAVAILABLE, for `unmark` to undo.
pub fn mark(stream: &mut impl Stream) {
    refuse(stream);
    stream.set_response_header(MARK, "not-ready");
}

/// Makes the router see UNAVAILABLE, and the client too unless there is a retry: see `end`.
pub fn refuse(stream: &mut impl Stream) {
    stream.set_response_header(GRPC_STATUS, UNAVAILABLE);
}

/// Makes the end of a response that was refused, and whose message is gone, say so.
pub fn end(stream: &mut impl Stream) {
    stream.set_response_trailer(GRPC_STATUS, UNAVAILABLE);
    stream.set_response_trailer("grpc-message", REFUSAL);
}

/// Takes the mark off a response, if it is there. `end` says that the response is headers only: then
/// `grpc-status` is its real status.
pub fn unmark(stream: &mut impl Stream, end: bool) {
    // Envoy has a place of its own for the status; for the mark it goes through all headers.
    if stream.response_header(GRPC_STATUS).is_none() || stream.response_header(MARK).is_none() {
        return;
    }
    stream.remove_response_header(MARK);
    if !end {
        stream.remove_response_header(GRPC_STATUS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{headers, FakeStream};

    #[test]
    fn unmark_undoes_mark() {
        let original = headers(&[(":status", "200"), ("content-type", "application/grpc")]);
        let mut stream = FakeStream { response: original.clone(), ..FakeStream::default() };

        mark(&mut stream);
        assert_eq!(Some(&b"14"[..]), stream.response_header("grpc-status"));
        unmark(&mut stream, false);

        assert_eq!(original, stream.response);
    }

    #[test]
    fn the_status_of_an_unmarked_response_stays() {
        let original = headers(&[(":status", "200"), ("grpc-status", "14")]);
        for end in [false, true] {
            let mut stream = FakeStream { response: original.clone(), ..FakeStream::default() };

            unmark(&mut stream, end);

            assert_eq!(original, stream.response);
        }
    }

    #[test]
    fn a_response_of_headers_alone_keeps_its_status_whatever_an_endpoint_sends() {
        let response = headers(&[("grpc-status", "5"), ("kiteway-in-band", "x")]);
        let mut stream = FakeStream { response, ..FakeStream::default() };

        unmark(&mut stream, true);

        assert_eq!(headers(&[("grpc-status", "5")]), stream.response);
    }
}
