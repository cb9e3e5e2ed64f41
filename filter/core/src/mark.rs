//! How the filter on the way to an endpoint tells Envoy's router that the endpoint is not ready, and how the filter in the
//! listener removes the traces.
//!
//! The router's retry and outlier detection read `grpc-status` from the response's headers. A gRPC response with a message
//! has none there, so the endpoint's filter adds it. If the router retries, it drops the response. If it does not retry,
//! the rest depends on the call:
//!
//! - A call that may be repeated ends with UNAVAILABLE, so that the client may repeat it too: the endpoint's filter drops
//!   the message and puts UNAVAILABLE into the trailers as well.
//! - Every other call gets Milvus's own response, unchanged: the listener's filter, which the routes of such calls turn
//!   on, removes the mark. A client that got UNAVAILABLE might send a write again. If the mark says that the endpoint has
//!   not begun the call, the router may retry it (`retriable_headers` in `kiteway/envoy/xds/policy.py`).

use crate::host::response::Response;

const MARK: &str = "kiteway-in-band";
const NOT_READY: &str = "not-ready";
const STARTING: &str = "starting";
const GRPC_STATUS: &str = "grpc-status";
const UNAVAILABLE: &str = "14";
const REFUSAL: &str = "kiteway: no endpoint that was asked is ready; nothing was done. Try again.";

/// Makes the router see UNAVAILABLE until `unmark` removes it, and whether the endpoint is `starting`: it has not begun the
/// call.
pub fn mark(stream: &mut impl Response, starting: bool) {
    refuse(stream);
    stream.set_response_header(MARK, if starting { STARTING } else { NOT_READY });
}

/// Lets the router see that the endpoint is starting and has not begun the REST call. The route removes the mark.
pub fn mark_rest(stream: &mut impl Response) {
    stream.set_response_header(MARK, STARTING);
}

/// Makes the router see UNAVAILABLE, and the client too unless there is a retry. `end` completes it.
pub fn refuse(stream: &mut impl Response) {
    stream.set_response_header(GRPC_STATUS, UNAVAILABLE);
}

/// Puts UNAVAILABLE into the trailers of a response that was refused and has no message any more.
pub fn end(stream: &mut impl Response) {
    stream.set_response_trailer(GRPC_STATUS, UNAVAILABLE);
    stream.set_response_trailer("grpc-message", REFUSAL);
}

/// Removes the mark from a response that has it. `end` says that the response is headers only: then `grpc-status` is
/// the response's own.
pub fn unmark(stream: &mut impl Response, end: bool) {
    // Envoy finds grpc-status at once; for the mark it compares all headers.
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
    use crate::host::fake::{headers, FakeStream};

    #[test]
    fn unmark_undoes_mark() {
        let original = headers(&[(":status", "200"), ("content-type", "application/grpc")]);
        for (starting, text) in [(false, "not-ready"), (true, "starting")] {
            let mut stream = FakeStream { response: original.clone(), ..FakeStream::default() };

            mark(&mut stream, starting);
            assert_eq!(Some(&b"14"[..]), stream.response_header("grpc-status"));
            assert_eq!(Some(text.as_bytes()), stream.response_header("kiteway-in-band"));
            unmark(&mut stream, false);

            assert_eq!(original, stream.response);
        }
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
    fn a_response_of_headers_only_keeps_its_own_status() {
        let response = headers(&[("grpc-status", "5"), ("kiteway-in-band", "x")]);
        let mut stream = FakeStream { response, ..FakeStream::default() };

        unmark(&mut stream, true);

        assert_eq!(headers(&[("grpc-status", "5")]), stream.response);
    }
}
