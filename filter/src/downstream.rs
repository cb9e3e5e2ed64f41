//! The filter in a listener: it sees each request of a client once.

#![forbid(unsafe_code)]

use crate::filter::Stream;
use crate::in_band;
use crate::metrics::CounterId;
use crate::rpc::Call;

#[derive(Debug)]
pub struct Downstream {
    requests: CounterId,
}

impl Downstream {
    pub fn new(requests: CounterId) -> Self {
        Self { requests }
    }

    /// Counts the request by its call.
    pub fn on_request_headers(&mut self, stream: &mut impl Stream) {
        let call = Call::of_request(stream);
        stream.count(self.requests, call.label());
    }

    /// Takes off what the upstream filter said to the router.
    pub fn on_response_headers(stream: &mut impl Stream, end: bool) {
        in_band::unmark(stream, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{grpc_request, headers, FakeStream};

    fn counted(mut stream: FakeStream) -> Vec<(CounterId, String)> {
        Downstream::new(CounterId(7)).on_request_headers(&mut stream);
        stream.counted
    }

    #[test]
    fn a_request_is_counted_once_by_its_call() {
        assert_eq!(vec![(CounterId(7), "Query".to_owned())], counted(grpc_request("Query")));
    }

    #[test]
    fn a_request_without_content_type_is_counted_as_rest() {
        let request = headers(&[(":path", "/v2/vectordb")]);
        let stream = FakeStream { request, ..FakeStream::default() };

        assert_eq!(vec![(CounterId(7), "rest".to_owned())], counted(stream));
    }

    #[test]
    fn a_request_without_path_is_counted_too() {
        let request = headers(&[("content-type", "application/grpc")]);
        let stream = FakeStream { request, ..FakeStream::default() };

        assert_eq!(vec![(CounterId(7), "other".to_owned())], counted(stream));
    }
}
