//! The filter on the way to an endpoint: it sees each attempt, and turns Milvus's "I am not ready"
//! into what Envoy's retry and outlier detection understand.

#![forbid(unsafe_code)]

use std::time::Instant;

use crate::filter::{Action, Stream};
use crate::in_band;
use crate::metrics::Attempts;
use crate::outcome;
use crate::rpc::{Call, StatusAt};
use crate::status::{judge, Verdict};

/// How much of a response is read at most, in bytes. A status that says "not ready" is a tenth of
/// it; a response that has not told by then goes on as it is.
const HEAD_LIMIT: usize = 4096;

const GRPC_STATUS: &str = "grpc-status";

/// What the endpoints of a pool serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    Grpc,
    /// Nothing is read of the responses.
    Rest,
}

#[derive(Debug)]
pub struct Upstream<'pool> {
    watch: Watch,
    attempts: &'pool Attempts,
    call: Call,
    began: Option<Instant>,
    status: &'static str,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The call has no status to read, or its response has been judged.
    Passing,
    /// The response has not begun.
    Waiting(StatusAt),
    /// The response's headers are held; these are the first bytes of its body, if they did not tell at once.
    Judging(StatusAt, Vec<u8>),
    /// The response is "not ready", and nobody gets its message.
    Refusing,
}

impl<'pool> Upstream<'pool> {
    pub fn new(watch: Watch, attempts: &'pool Attempts) -> Self {
        Self {
            watch,
            attempts,
            call: Call::Rest,
            began: None,
            status: outcome::NONE,
            state: State::Passing,
        }
    }

    /// Counts the attempt by its call.
    pub fn on_request_headers(&mut self, stream: &mut impl Stream) {
        self.began = Some(Instant::now());
        if self.watch != Watch::Rest {
            self.call = Call::of_grpc(stream);
        }
        self.attempts.began(self.call, stream);
        match self.call {
            Call::Milvus(rpc) if rpc.status != StatusAt::Nowhere => {
                self.state = State::Waiting(rpc.status);
            }
            _ => {}
        }
    }

    /// Holds the headers of a response that has a message, until `on_response_body` has judged it.
    pub fn on_response_headers(&mut self, stream: &mut impl Stream, end: bool) -> Action {
        match self.watch {
            Watch::Rest => self.status = outcome::http(stream.response_header(":status")),
            Watch::Grpc if end => {
                self.status = outcome::grpc(stream.response_header(GRPC_STATUS));
            }
            Watch::Grpc => {}
        }
        if end {
            self.state = State::Passing;
            self.ended(stream);
        }
        let State::Waiting(at) = self.state else { return Action::Continue };
        self.state = State::Judging(at, Vec::new());
        Action::Hold
    }

    pub fn on_response_body(&mut self, stream: &mut impl Stream, end: bool) -> Action {
        if end {
            self.ended(stream);
        }
        let (verdict, full) = match &mut self.state {
            State::Judging(at, head) => read(head, *at, stream),
            State::Refusing => {
                stream.drop_response_body();
                return Action::Continue;
            }
            State::Passing | State::Waiting(_) => return Action::Continue,
        };
        if verdict == Verdict::Unknown && !full && !end {
            return Action::Hold;
        }
        self.state = State::Passing;
        if verdict == Verdict::NotReady && is_grpc(stream) {
            self.not_ready(stream);
        }
        Action::Continue
    }

    pub fn on_response_trailers(&mut self, stream: &mut impl Stream) {
        if self.watch != Watch::Rest {
            self.status = outcome::grpc(stream.response_trailer(GRPC_STATUS));
        }
        self.ended(stream);
        if matches!(self.state, State::Refusing) {
            in_band::end(stream);
        }
    }

    /// Where other attempts at the same read may be under way (hedging), Envoy still passes the message on that it
    /// was about to when it gives one of them up (router.cc of Envoy 1.40), in front of the answer of another one: one
    /// more reason to drop it.
    fn not_ready(&mut self, stream: &mut impl Stream) {
        self.attempts.not_ready(self.call, stream);
        if matches!(self.call, Call::Milvus(rpc) if rpc.repeatable) {
            in_band::refuse(stream);
            stream.drop_response_body();
            self.state = State::Refusing;
        } else {
            in_band::mark(stream);
        }
    }

    fn ended(&mut self, stream: &mut impl Stream) {
        if let Some(began) = self.began.take() {
            let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.attempts.ended(self.status, milliseconds, stream);
        }
    }
}

/// Judges what has come of a response, and tells whether no more of it may be kept. The first piece tells nearly
/// always, and is then judged where it lies.
fn read(head: &mut Vec<u8>, at: StatusAt, stream: &impl Stream) -> (Verdict, bool) {
    if head.is_empty() {
        let verdict = judge(stream.response_body_start(), at);
        if verdict != Verdict::Unknown {
            return (verdict, false);
        }
    }
    stream.copy_response_body(head, HEAD_LIMIT);
    (judge(head, at), head.len() >= HEAD_LIMIT)
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
    use std::sync::LazyLock;

    use super::*;
    use crate::fake::{grpc_request, headers, FakeStream, Names};

    /// SearchResults{status: {error_code: NotReadyServe, code: 1}}, framed.
    const NOT_READY: [u8; 11] = [0, 0, 0, 0, 6, 0x0a, 4, 0x08, 56, 0x18, 1];

    fn attempts() -> &'static Attempts {
        static ATTEMPTS: LazyLock<Attempts> =
            LazyLock::new(|| Attempts::define(&mut Names::default(), |_| true, "OK").unwrap());
        &ATTEMPTS
    }

    struct Exchange {
        stream: FakeStream,
        filter: Upstream<'static>,
    }

    impl Exchange {
        fn new(method: &str) -> Self {
            Self::with(Watch::Grpc, method)
        }

        fn with(watch: Watch, method: &str) -> Self {
            let mut stream = grpc_request(method);
            let mut filter = Upstream::new(watch, attempts());
            filter.on_request_headers(&mut stream);
            Self { stream, filter }
        }

        fn headers(&mut self, pairs: &[(&str, &str)], end: bool) -> Action {
            self.stream.response = headers(pairs);
            self.filter.on_response_headers(&mut self.stream, end)
        }

        fn grpc_headers(&mut self) -> Action {
            self.headers(&[(":status", "200"), ("content-type", "application/grpc")], false)
        }

        fn body(&mut self, bytes: &[u8], end: bool) -> Action {
            self.stream.received = bytes.to_vec();
            self.filter.on_response_body(&mut self.stream, end)
        }

        fn trailers(&mut self) {
            self.filter.on_response_trailers(&mut self.stream);
        }

        fn is_refused(&self) -> bool {
            self.stream.response_header("grpc-status").is_some() && !self.is_marked()
        }

        fn is_marked(&self) -> bool {
            self.stream.response_header("kiteway-in-band").is_some()
        }

        /// The labels of what was counted after the attempt itself; a counter of its own has none.
        fn counted(&self) -> Vec<&str> {
            self.stream.counted[1..].iter().map(|(_, label)| label.as_str()).collect()
        }
    }

    #[test]
    fn what_may_not_be_repeated_is_marked_and_keeps_its_message() {
        let mut exchange = Exchange::new("Insert");

        assert_eq!(Action::Hold, exchange.grpc_headers());
        assert_eq!(Action::Continue, exchange.body(&NOT_READY, false));

        assert!(exchange.is_marked());
        assert_eq!(Some(&b"14"[..]), exchange.stream.response_header("grpc-status"));
        assert_eq!(vec!["Insert"], exchange.counted());
        exchange.trailers();
        assert_eq!((0, None), (exchange.stream.dropped, exchange.stream.trailer(0)));
    }

    #[test]
    fn what_may_be_repeated_is_refused_without_its_message() {
        for method in ["Search", "GetVersion", "Connect"] {
            let mut exchange = Exchange::new(method);
            exchange.grpc_headers();

            assert_eq!(Action::Hold, exchange.body(&NOT_READY[..6], false));
            assert_eq!(Action::Continue, exchange.body(&NOT_READY[6..], false));
            assert!(exchange.is_refused(), "{method}");
            assert_eq!(vec![method], exchange.counted());
            assert_eq!(1, exchange.stream.dropped);
            assert_eq!(Action::Continue, exchange.body(b"more", false));
            assert_eq!(2, exchange.stream.dropped);
            exchange.trailers();

            assert_eq!(Some(("grpc-status", "14")), exchange.stream.trailer(0));
        }
    }

    #[test]
    fn whoever_is_ready_keeps_its_message() {
        let mut exchange = Exchange::new("Search");
        exchange.grpc_headers();

        assert_eq!(Action::Continue, exchange.body(&[0, 0, 0, 0, 2, 0x0a, 0], false));
        exchange.trailers();

        assert_eq!((0, None), (exchange.stream.dropped, exchange.stream.trailer(0)));
        assert!(!exchange.is_refused());
    }

    #[test]
    fn the_response_is_held_byte_by_byte_until_it_has_told() {
        let mut exchange = Exchange::new("Search");
        exchange.grpc_headers();

        let (last, first) = NOT_READY.split_last().unwrap();
        for byte in first {
            assert_eq!(Action::Hold, exchange.body(&[*byte], false));
        }
        assert!(!exchange.is_refused());
        assert_eq!(Action::Continue, exchange.body(&[*last], false));

        assert!(exchange.is_refused());
    }

    #[test]
    fn a_response_in_pieces_is_read_whole() {
        let mut exchange = Exchange::new("Search");
        exchange.grpc_headers();
        exchange.stream.piece = Some(7);

        assert_eq!(Action::Continue, exchange.body(&NOT_READY, false));

        assert!(exchange.is_refused());
    }

    #[test]
    fn an_attempt_that_is_answered_is_timed_once() {
        for ends in ["headers", "body", "trailers"] {
            for watch in [Watch::Grpc, Watch::Rest] {
                let mut exchange = Exchange::with(watch, "Search");
                exchange.headers(&[(":status", "200")], ends == "headers");
                if ends != "headers" {
                    assert!(exchange.stream.recorded.is_empty());
                    exchange.body(&NOT_READY, ends == "body");
                }
                if ends == "trailers" {
                    assert!(exchange.stream.recorded.is_empty());
                    exchange.trailers();
                }
                exchange.trailers();

                assert_eq!(1, exchange.stream.recorded.len(), "{ends} {watch:?}");
                assert_eq!(2 + usize::from(exchange.is_refused()), exchange.stream.counted.len());
            }
        }
    }

    #[test]
    fn an_answer_is_counted_by_the_status_it_ends_with() {
        let status = |value: &str| ("grpc-status".to_owned(), value.to_owned());
        for (value, label) in [("0", ""), ("8", "RESOURCE_EXHAUSTED"), ("99", "none")] {
            let mut exchange = Exchange::new("Insert");
            exchange.grpc_headers();
            exchange.stream.trailers = vec![status(value)];
            exchange.trailers();

            assert_eq!(vec![label], exchange.counted());

            let mut exchange = Exchange::new("Insert");
            exchange.headers(&[("grpc-status", value)], true);

            assert_eq!(vec![label], exchange.counted());
        }
    }

    #[test]
    fn an_answer_of_rest_is_counted_by_the_class_of_its_status() {
        let mut exchange = Exchange::with(Watch::Rest, "");
        exchange.headers(&[(":status", "503"), ("grpc-status", "0")], false);
        exchange.body(b"{}", true);

        assert_eq!(vec!["5xx"], exchange.counted());
    }

    #[test]
    fn what_serves_rest_is_neither_held_nor_read() {
        let mut exchange = Exchange::with(Watch::Rest, "Search");

        assert_eq!(Action::Continue, exchange.grpc_headers());
        assert_eq!(Action::Continue, exchange.body(&NOT_READY, false));
        assert!(!exchange.is_refused());
    }

    #[test]
    fn once_judged_the_rest_streams_through_unread() {
        let mut exchange = Exchange::new("Search");
        exchange.grpc_headers();

        assert_eq!(Action::Continue, exchange.body(&[0, 0, 0, 1, 0, 0x0a, 0], false));
        for _ in 0..3 {
            assert_eq!(Action::Continue, exchange.body(&NOT_READY, false));
        }

        assert!(!exchange.is_refused());
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
        assert!(!exchange.is_refused());
    }

    #[test]
    fn a_response_that_ends_early_goes_on_as_it_is() {
        let mut exchange = Exchange::new("Search");
        exchange.grpc_headers();

        assert_eq!(Action::Continue, exchange.body(&NOT_READY[..8], true));
        assert!(!exchange.is_refused());
    }

    #[test]
    fn what_has_no_message_or_no_status_is_not_held() {
        let grpc = [(":status", "200"), ("content-type", "application/grpc")];
        for (method, end) in [("Search", true), ("DumpMessages", false), ("NoSuchCall", false)] {
            let mut exchange = Exchange::new(method);

            assert_eq!(Action::Continue, exchange.headers(&grpc, end), "{method}");
            assert_eq!(Action::Continue, exchange.body(&NOT_READY, false), "{method}");
            assert!(!exchange.is_refused());
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
            assert!(!exchange.is_refused(), "{response:?}");
            assert!(exchange.counted().is_empty());
        }
    }
}
