//! One attempt at an endpoint: its metrics, and what Envoy's retry and outlier detection are told about the endpoint.

use std::time::Instant;

use crate::host::body::ResponseBody;
use crate::host::clock::Clock;
use crate::host::counters::Counters;
use crate::host::request::Request;
use crate::host::response::Response;
use crate::host::Action;
use crate::mark;
use crate::metrics::attempts::AttemptMetrics;
use crate::metrics::status_label;
use crate::milvus::call::Call;
use crate::milvus::rpc::StatusAt;
use crate::milvus::statuses::{readiness, Readiness};

/// The most bytes of a response that are read. A status that says "not ready" needs a tenth of it; a response whose
/// readiness is unknown after them is passed on.
const HEAD_LIMIT: usize = 4096;

const GRPC_STATUS: &str = "grpc-status";

/// Which of Milvus's two APIs the endpoints of a pool serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Grpc,
    /// The bodies of its responses are not read.
    Rest,
}

/// One attempt at an endpoint.
#[derive(Debug)]
pub struct Attempt<'pool> {
    api: Api,
    metrics: &'pool AttemptMetrics,
    call: Call,
    /// When the request's headers came; None once the response has ended.
    began: Option<Instant>,
    status_label: &'static str,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The response is passed on: its call has no Milvus status to read, or the status has been read.
    Passing,
    /// The response has not begun.
    Waiting(StatusAt),
    /// The response's headers are held; these are the first bytes of its body, where the first piece was too short.
    Reading(StatusAt, Vec<u8>),
    /// The endpoint is not ready, and the response's message is dropped.
    Refusing,
}

impl<'pool> Attempt<'pool> {
    pub fn new(api: Api, metrics: &'pool AttemptMetrics) -> Self {
        Self {
            api,
            metrics,
            call: Call::Rest,
            began: None,
            status_label: status_label::NONE,
            state: State::Passing,
        }
    }

    /// Counts the attempt by its call.
    pub fn on_request_headers(&mut self, stream: &mut (impl Request + Counters + Clock)) {
        self.began = Some(stream.now());
        if self.api == Api::Grpc {
            self.call = Call::of_grpc(stream.request_header(":path"));
        }
        self.metrics.began(self.call, stream);
        match self.call {
            Call::Milvus(rpc) if rpc.status != StatusAt::Nowhere => {
                self.state = State::Waiting(rpc.status);
            }
            _ => {}
        }
    }

    /// Holds the headers of a response that has a message, until `on_response_body` knows the endpoint's readiness.
    pub fn on_response_headers(
        &mut self,
        stream: &mut (impl Response + Counters + Clock),
        end: bool,
    ) -> Action {
        match self.api {
            Api::Rest => {
                self.status_label = status_label::of_http(stream.response_header(":status"));
            }
            Api::Grpc if end => {
                self.status_label = status_label::of_grpc(stream.response_header(GRPC_STATUS));
            }
            Api::Grpc => {}
        }
        if end {
            self.state = State::Passing;
            self.ended(stream);
        }
        let State::Waiting(at) = self.state else { return Action::Continue };
        self.state = State::Reading(at, Vec::new());
        Action::Hold
    }

    /// Reads the endpoint's readiness from the first bytes of a message.
    pub fn on_response_body(
        &mut self,
        stream: &mut (impl Response + ResponseBody + Counters + Clock),
        end: bool,
    ) -> Action {
        if end {
            self.ended(stream);
        }
        let (readiness, full) = match &mut self.state {
            State::Reading(at, head) => read(head, *at, stream),
            State::Refusing => {
                stream.drop_response_body();
                return Action::Continue;
            }
            State::Passing | State::Waiting(_) => return Action::Continue,
        };
        if readiness == Readiness::Unknown && !full && !end {
            return Action::Hold;
        }
        self.state = State::Passing;
        if readiness == Readiness::NotReady && is_grpc(stream) {
            self.not_ready(stream);
        }
        Action::Continue
    }

    /// Counts the response by the status it ends with.
    pub fn on_response_trailers(&mut self, stream: &mut (impl Response + Counters + Clock)) {
        if self.api == Api::Grpc {
            self.status_label = status_label::of_grpc(stream.response_trailer(GRPC_STATUS));
        }
        self.ended(stream);
        if matches!(self.state, State::Refusing) {
            mark::end(stream);
        }
    }

    /// Tells Envoy's router that the endpoint is not ready.
    ///
    /// The message of a read is dropped for a second reason too: when Envoy gives one of several concurrent attempts
    /// (hedging) up, it still passes on the message that it was about to pass on, in front of the response of another
    /// attempt (router.cc of Envoy 1.40).
    fn not_ready(&mut self, stream: &mut (impl Response + ResponseBody + Counters)) {
        self.metrics.not_ready(self.call, stream);
        if matches!(self.call, Call::Milvus(rpc) if rpc.repeatable) {
            mark::refuse(stream);
            stream.drop_response_body();
            self.state = State::Refusing;
        } else {
            mark::mark(stream);
        }
    }

    fn ended(&mut self, stream: &mut (impl Counters + Clock)) {
        if let Some(began) = self.began.take() {
            let elapsed = stream.now().saturating_duration_since(began);
            let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            self.metrics.ended(self.status_label, milliseconds, stream);
        }
    }
}

/// Reads the readiness from what has arrived of a response, and says whether `head` is full. The first piece is nearly
/// always enough, and is read without a copy.
fn read(head: &mut Vec<u8>, at: StatusAt, stream: &impl ResponseBody) -> (Readiness, bool) {
    if head.is_empty() {
        let readiness = readiness(stream.response_body_start(), at);
        if readiness != Readiness::Unknown {
            return (readiness, false);
        }
    }
    stream.copy_response_body(head, HEAD_LIMIT);
    (readiness(head, at), head.len() >= HEAD_LIMIT)
}

/// Whether a response is gRPC. Only a response that looks like "not ready" is checked, since to find a header takes time.
fn is_grpc(stream: &impl Response) -> bool {
    let content_type = stream.response_header("content-type").unwrap_or_default();
    stream.response_header(":status") == Some(b"200")
        && content_type.starts_with(b"application/grpc")
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;
    use std::time::Duration;

    use super::*;
    use crate::host::fake::{grpc_request, headers, FakeStream, Names};

    /// SearchResults{status: {error_code: NotReadyServe, code: 1}}, framed.
    const NOT_READY: [u8; 11] = [0, 0, 0, 0, 6, 0x0a, 4, 0x08, 56, 0x18, 1];

    fn metrics() -> &'static AttemptMetrics {
        static METRICS: LazyLock<AttemptMetrics> = LazyLock::new(|| {
            AttemptMetrics::define(&mut Names::default(), |_| true, "OK").unwrap()
        });
        &METRICS
    }

    struct Exchange {
        stream: FakeStream,
        filter: Attempt<'static>,
    }

    impl Exchange {
        fn new(method: &str) -> Self {
            Self::with(Api::Grpc, method)
        }

        fn with(api: Api, method: &str) -> Self {
            let mut stream = grpc_request(method);
            let mut filter = Attempt::new(api, metrics());
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
    fn a_call_that_may_not_be_repeated_is_marked_and_keeps_its_message() {
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
    fn a_call_that_may_be_repeated_is_refused_without_its_message() {
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
    fn the_message_of_a_ready_endpoint_is_passed_on() {
        let mut exchange = Exchange::new("Search");
        exchange.grpc_headers();

        assert_eq!(Action::Continue, exchange.body(&[0, 0, 0, 0, 2, 0x0a, 0], false));
        exchange.trailers();

        assert_eq!((0, None), (exchange.stream.dropped, exchange.stream.trailer(0)));
        assert!(!exchange.is_refused());
    }

    #[test]
    fn the_response_is_held_byte_by_byte_until_the_readiness_is_known() {
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
    fn an_attempt_with_a_response_is_timed_once() {
        for ends in ["headers", "body", "trailers"] {
            for api in [Api::Grpc, Api::Rest] {
                let mut exchange = Exchange::with(api, "Search");
                exchange.stream.time += Duration::from_micros(7_900);
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

                let times: Vec<u64> = exchange.stream.recorded.iter().map(|(_, ms)| *ms).collect();
                assert_eq!(vec![7], times, "{ends} {api:?}");
                assert_eq!(2 + usize::from(exchange.is_refused()), exchange.stream.counted.len());
            }
        }
    }

    #[test]
    fn a_response_is_counted_by_the_status_it_ends_with() {
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
    fn a_rest_response_is_counted_by_the_class_of_its_status() {
        let mut exchange = Exchange::with(Api::Rest, "");
        exchange.headers(&[(":status", "503"), ("grpc-status", "0")], false);
        exchange.body(b"{}", true);

        assert_eq!(vec!["5xx"], exchange.counted());
    }

    #[test]
    fn a_rest_response_is_neither_held_nor_read() {
        let mut exchange = Exchange::with(Api::Rest, "Search");

        assert_eq!(Action::Continue, exchange.grpc_headers());
        assert_eq!(Action::Continue, exchange.body(&NOT_READY, false));
        assert!(!exchange.is_refused());
    }

    #[test]
    fn the_rest_of_a_response_is_passed_on_unread() {
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
            let State::Reading(_, head) = &exchange.filter.state else { panic!() };
            assert!(head.len() <= HEAD_LIMIT);
            held += 1;
        }

        assert_eq!(HEAD_LIMIT / 100 + 1, held);
        assert!(!exchange.is_refused());
    }

    #[test]
    fn a_response_that_ends_early_is_passed_on() {
        let mut exchange = Exchange::new("Search");
        exchange.grpc_headers();

        assert_eq!(Action::Continue, exchange.body(&NOT_READY[..8], true));
        assert!(!exchange.is_refused());
    }

    #[test]
    fn a_response_without_message_or_milvus_status_is_not_held() {
        let grpc = [(":status", "200"), ("content-type", "application/grpc")];
        for (method, end) in [("Search", true), ("DumpMessages", false), ("NoSuchCall", false)] {
            let mut exchange = Exchange::new(method);

            assert_eq!(Action::Continue, exchange.headers(&grpc, end), "{method}");
            assert_eq!(Action::Continue, exchange.body(&NOT_READY, false), "{method}");
            assert!(!exchange.is_refused());
        }
    }

    #[test]
    fn a_response_that_is_not_grpc_is_never_marked() {
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
