//! The filter on the way to an endpoint: it sees each attempt, and turns Milvus's "I am not ready"
//! into what Envoy's retry and outlier detection understand.

#![forbid(unsafe_code)]

use crate::filter::{Action, Stream};
use crate::in_band;
use crate::metrics::CounterId;
use crate::rpc::{Class, Rpc, StatusAt};
use crate::status::{judge, Verdict};

/// How much of a response is read at most, in bytes. A status that says "not ready" is a tenth of
/// it; a response that has not told by then goes on as it is.
const HEAD_LIMIT: usize = 4096;

#[derive(Debug)]
pub struct Upstream {
    not_ready: CounterId,
    hedged: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The call has no status to read, or its response has been judged.
    Passing,
    /// The response has not begun.
    Waiting(&'static Rpc),
    /// The response's headers are held; these are the first bytes of its body.
    Judging(&'static Rpc, Vec<u8>),
    /// The response is "not ready", and nobody gets its message.
    Refusing,
}

impl Upstream {
    /// With `hedged`, other attempts at the same read may be under way. When Envoy gives one of several
    /// up, it still passes the message on that it was about to (router.cc of Envoy 1.40), in front of the answer
    /// of another one; so the message of one that is not ready is dropped.
    pub fn new(not_ready: CounterId, hedged: bool) -> Self {
        Self { not_ready, hedged, state: State::Passing }
    }

    pub fn on_request_headers(&mut self, stream: &mut impl Stream) {
        // The routes to its cluster take gRPC only, so the content type need not be looked at.
        match stream.request_header(":path").and_then(Rpc::at) {
            Some(rpc) if rpc.status != StatusAt::Nowhere => self.state = State::Waiting(rpc),
            _ => {}
        }
    }

    /// Holds the headers of a response that has a message, until `on_response_body` has judged it.
    pub fn on_response_headers(&mut self, end: bool) -> Action {
        let State::Waiting(rpc) = self.state else { return Action::Continue };
        if end {
            self.state = State::Passing;
            return Action::Continue;
        }
        self.state = State::Judging(rpc, Vec::new());
        Action::Hold
    }

    pub fn on_response_body(&mut self, stream: &mut impl Stream, end: bool) -> Action {
        let (rpc, head) = match &mut self.state {
            State::Judging(rpc, head) => (*rpc, head),
            State::Refusing => {
                stream.drop_response_body();
                return Action::Continue;
            }
            State::Passing | State::Waiting(_) => return Action::Continue,
        };
        stream.copy_response_body(head, HEAD_LIMIT);
        match judge(head, rpc.status) {
            Verdict::Unknown if head.len() < HEAD_LIMIT && !end => return Action::Hold,
            Verdict::NotReady if is_grpc(stream) => {
                in_band::mark(stream);
                stream.count_label(self.not_ready, rpc.name);
                if self.hedged && rpc.class == Class::Read {
                    stream.drop_response_body();
                    self.state = State::Refusing;
                    return Action::Continue;
                }
            }
            Verdict::Unknown | Verdict::Other | Verdict::NotReady => {}
        }
        self.state = State::Passing;
        Action::Continue
    }

    pub fn on_response_trailers(&mut self, stream: &mut impl Stream) {
        if matches!(self.state, State::Refusing) {
            in_band::refuse(stream);
        }
    }
}

/// Whether a response is Milvus's; asked only of what looks like "not ready", since each header costs a
/// call its time.
fn is_grpc(stream: &impl Stream) -> bool {
    let content_type = stream.response_header("content-type").unwrap_or_default();
    stream.response_header(":status") == Some(b"200")
        && content_type.starts_with(b"application/grpc")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{grpc_request, headers, FakeStream};

    /// SearchResults{status: {error_code: NotReadyServe, code: 1}}, framed.
    const NOT_READY: [u8; 11] = [0, 0, 0, 0, 6, 0x0a, 4, 0x08, 56, 0x18, 1];

    struct Exchange {
        stream: FakeStream,
        filter: Upstream,
    }

    impl Exchange {
        fn new(method: &str) -> Self {
            Self::with(Upstream::new(CounterId(3), false), method)
        }

        fn hedged(method: &str) -> Self {
            Self::with(Upstream::new(CounterId(3), true), method)
        }

        fn with(mut filter: Upstream, method: &str) -> Self {
            let mut stream = grpc_request(method);
            filter.on_request_headers(&mut stream);
            Self { stream, filter }
        }

        fn headers(&mut self, pairs: &[(&str, &str)], end: bool) -> Action {
            self.stream.response = headers(pairs);
            self.filter.on_response_headers(end)
        }

        fn grpc_headers(&mut self) -> Action {
            self.headers(&[(":status", "200"), ("content-type", "application/grpc")], false)
        }

        fn body(&mut self, bytes: &[u8], end: bool) -> Action {
            self.stream.received = bytes.to_vec();
            self.filter.on_response_body(&mut self.stream, end)
        }

        fn is_marked(&self) -> bool {
            self.stream.response_header("grpc-status").is_some()
        }
    }

    #[test]
    fn not_ready_becomes_unavailable_and_is_counted() {
        let mut exchange = Exchange::new("Search");

        assert_eq!(Action::Hold, exchange.grpc_headers());
        assert_eq!(Action::Continue, exchange.body(&NOT_READY, false));

        assert_eq!(Some(&b"14"[..]), exchange.stream.response_header("grpc-status"));
        assert_eq!(vec![(CounterId(3), "Search".to_owned())], exchange.stream.counted);
    }

    #[test]
    fn the_message_of_a_hedged_read_that_is_not_ready_is_dropped() {
        let mut exchange = Exchange::hedged("Search");
        exchange.grpc_headers();

        assert_eq!(Action::Hold, exchange.body(&NOT_READY[..6], false));
        assert_eq!(Action::Continue, exchange.body(&NOT_READY[6..], false));
        assert!(exchange.is_marked());
        assert_eq!(1, exchange.stream.dropped);
        assert_eq!(Action::Continue, exchange.body(b"more", false));
        assert_eq!(2, exchange.stream.dropped);
        exchange.filter.on_response_trailers(&mut exchange.stream);

        assert_eq!(Some(("grpc-status", "14")), exchange.stream.trailer(0));
    }

    #[test]
    fn other_calls_of_a_hedged_pool_keep_their_message() {
        for (method, body) in [("Insert", &NOT_READY[..]), ("Search", &[0, 0, 0, 0, 2, 0x0a, 0])] {
            let mut exchange = Exchange::hedged(method);
            exchange.grpc_headers();

            assert_eq!(Action::Continue, exchange.body(body, false));
            exchange.filter.on_response_trailers(&mut exchange.stream);

            assert_eq!((0, None), (exchange.stream.dropped, exchange.stream.trailer(0)));
        }
    }

    #[test]
    fn the_response_is_held_byte_by_byte_until_it_has_told() {
        let mut exchange = Exchange::new("Search");
        exchange.grpc_headers();

        let (last, first) = NOT_READY.split_last().unwrap();
        for byte in first {
            assert_eq!(Action::Hold, exchange.body(&[*byte], false));
        }
        assert!(!exchange.is_marked());
        assert_eq!(Action::Continue, exchange.body(&[*last], false));

        assert!(exchange.is_marked());
    }

    #[test]
    fn once_judged_the_rest_streams_through_unread() {
        let mut exchange = Exchange::new("Search");
        exchange.grpc_headers();

        assert_eq!(Action::Continue, exchange.body(&[0, 0, 0, 1, 0, 0x0a, 0], false));
        for _ in 0..3 {
            assert_eq!(Action::Continue, exchange.body(&NOT_READY, false));
        }

        assert!(!exchange.is_marked());
    }

    #[test]
    fn no_more_than_the_limit_is_ever_kept() {
        let mut exchange = Exchange::new("DropCollection");
        exchange.grpc_headers();
        // A Status whose reason claims a megabyte: the code behind it is never reached.
        exchange.body(&[0, 0, 0x20, 0, 0, 0x12, 0x80, 0x80, 0x40], false);

        let mut held = 1;
        for _ in 0..HEAD_LIMIT {
            if exchange.body(&[b'x'; 100], false) == Action::Continue {
                break;
            }
            let State::Judging(_, head) = &exchange.filter.state else { panic!() };
            assert!(head.len() <= HEAD_LIMIT);
            held += 1;
        }

        assert_eq!(HEAD_LIMIT / 100 + 1, held);
        assert!(!exchange.is_marked());
    }

    #[test]
    fn a_response_that_ends_early_goes_on_as_it_is() {
        let mut exchange = Exchange::new("Search");
        exchange.grpc_headers();

        assert_eq!(Action::Continue, exchange.body(&NOT_READY[..8], true));
        assert!(!exchange.is_marked());
    }

    #[test]
    fn what_has_no_message_or_no_status_is_not_held() {
        let grpc = [(":status", "200"), ("content-type", "application/grpc")];
        for (method, end) in [("Search", true), ("DumpMessages", false), ("NoSuchCall", false)] {
            let mut exchange = Exchange::new(method);

            assert_eq!(Action::Continue, exchange.headers(&grpc, end), "{method}");
            assert_eq!(Action::Continue, exchange.body(&NOT_READY, false), "{method}");
            assert!(!exchange.is_marked());
        }
    }

    #[test]
    fn what_is_not_milvuss_answer_is_never_marked() {
        for response in [
            [(":status", "200"), ("content-type", "text/html")],
            [(":status", "503"), ("content-type", "application/grpc")],
        ] {
            let mut exchange = Exchange::new("Search");
            exchange.headers(&response, false);

            assert_eq!(Action::Continue, exchange.body(&NOT_READY, false));
            assert!(!exchange.is_marked(), "{response:?}");
            assert!(exchange.stream.counted.is_empty());
        }
    }
}
