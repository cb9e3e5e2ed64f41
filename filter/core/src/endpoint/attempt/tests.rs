mod counting;
mod ending;
mod readiness;
mod rest;
mod tracing;

use std::sync::LazyLock;
use std::time::Duration;

use super::*;
use crate::host::fake::{grpc_request, headers, FakeStream, Names};
use crate::milvus::caller::{HashKey, Naming};
use crate::wire::encode::{delimited, framed, varint};
use crate::wire::fuzz::{damage, fuzz};

/// SearchResults{status: {error_code: NotReadyServe, code: 1}}, framed.
const NOT_READY: [u8; 11] = [0, 0, 0, 0, 6, 0x0a, 4, 0x08, 56, 0x18, 1];

fn new_pool(api: Api, logs: bool) -> Pool {
    let users = Users { naming: Naming::Names, key: HashKey::new([0; 16]) };
    let metrics = AttemptMetrics::define(&mut Names::default(), |_| true, "OK").unwrap();
    let notes = Notes { all: logs, traced: false };
    Pool { api, notes, users, metrics, calls: None }
}

fn pool(api: Api, logs: bool) -> &'static Pool {
    static POOLS: LazyLock<[Pool; 4]> = LazyLock::new(|| {
        [(Api::Grpc, false), (Api::Grpc, true), (Api::Rest, false), (Api::Rest, true)]
            .map(|(api, logs)| new_pool(api, logs))
    });
    &POOLS[2 * usize::from(api == Api::Rest) + usize::from(logs)]
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
        let mut filter = Attempt::new(pool(api, true));
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

    /// The labels of what was counted after the attempt itself; its own counter has none.
    fn counted(&self) -> Vec<&str> {
        self.stream.counted[1..].iter().map(|(_, label)| label.as_str()).collect()
    }
}

#[test]
fn the_log_gets_the_user_and_the_names_of_the_request_and_the_code_of_the_response() {
    for (logs, noted) in [(false, 0), (true, 4)] {
        let mut stream = grpc_request("DropCollection");
        stream.request.push(("authorization".to_owned(), "cm9vdDpNaWx2dXM=".to_owned()));
        let mut filter = Attempt::new(pool(Api::Grpc, logs));
        filter.on_request_headers(&mut stream);
        stream.received = framed(&delimited(3, b"books"));
        filter.on_request_body(&mut stream, true);
        filter.on_response_headers(&mut stream, false);
        stream.received = framed(&varint(3, 100));
        filter.on_response_body(&mut stream, false);
        filter.on_response_trailers(&mut stream);

        assert_eq!(noted, stream.notes.len());
        let first = stream.notes.first().map(|(key, value)| (key.as_str(), value.as_str()));
        assert_eq!(logs.then_some(("user", "root")), first);
        let last = stream.notes.last().map(|(key, value)| (key.as_str(), value.as_str()));
        assert_eq!(logs.then_some(("code", "100")), last);
    }
}

/// The listener has noted what the client asks for; the request of the endpoint asks for another consistency.
#[test]
fn of_a_read_whose_answer_may_be_kept_only_the_answer_is_noted() {
    for (is_fill, has_level) in [(true, false), (false, true)] {
        let mut exchange = Exchange::new("Search");
        let mut stream = grpc_request("Search");
        if is_fill {
            hedge::announce(0, Duration::ZERO, &mut stream);
        }
        exchange.filter = Attempt::new(pool(Api::Grpc, true));
        exchange.filter.on_request_headers(&mut stream);
        stream.received = framed(&[delimited(3, b"books"), varint(14, 4)].concat());
        exchange.filter.on_request_body(&mut stream, true);
        exchange.stream = stream;
        exchange.grpc_headers();
        exchange.body(&framed(&delimited(1, &[])), false);
        exchange.trailers();

        let noted = |key| exchange.stream.notes.iter().any(|(name, _)| name == key);
        assert_eq!(
            (has_level, has_level, true),
            (noted("level"), noted("collection"), noted("code"))
        );
    }
}

/// One attempt at a fill whose client sent "books", at a time in ms, with what it sends and whether its answer is marked.
fn attempt_at(stream: &mut FakeStream, milliseconds: u64) -> (Vec<u8>, bool) {
    let mut filter = Attempt::new(pool(Api::Grpc, true));
    stream.time = Duration::from_millis(milliseconds);
    stream.received = framed(&[delimited(3, b"books"), varint(14, 4)].concat());
    stream.response = headers(&[(":status", "200"), ("content-type", "application/grpc")]);
    filter.on_request_headers(stream);
    filter.on_request_body(stream, true);
    let sent = stream.received.clone();
    filter.on_response_headers(stream, false);
    (sent, hedge::take_mark(stream))
}

#[test]
fn a_later_attempt_at_a_fill_asks_what_the_client_asks_and_marks_its_answer() {
    let mut stream = grpc_request("Search");
    hedge::announce(2, Duration::from_millis(60), &mut stream);
    let fill = framed(&[delimited(3, b"books"), varint(14, 4)].concat());

    assert_eq!((fill.clone(), false), attempt_at(&mut stream, 1000));
    // The first endpoint has failed.
    assert_eq!((fill, false), attempt_at(&mut stream, 1010));
    assert_eq!((framed(&delimited(3, b"books")), true), attempt_at(&mut stream, 1060));
}

/// Any order of hooks, with any pieces, trailers and ends at any moment.
#[test]
fn fuzz_an_attempt() {
    let answer = framed(&[&delimited(1, &varint(3, 1))[..], &delimited(2, b"results")].concat());
    let request = framed(&[delimited(2, b"d"), delimited(3, b"books"), varint(12, 2)].concat());
    let mut open: Vec<Exchange> = Vec::new();
    fuzz("an attempt", 20_000, |random| {
        if open.len() < 8 {
            let api = *random.one(&[Api::Grpc, Api::Grpc, Api::Rest]);
            let method = *random.one(&["Search", "Insert", "Connect", "NoSuch"]);
            open.push(Exchange::with(api, method));
        }
        let place = random.below(open.len());
        let Exchange { stream, filter } = &mut open[place];
        stream.piece = Some(1 + random.below(9));
        match random.below(6) {
            0 => {
                stream.received = request.clone();
                damage(&mut stream.received, random);
                filter.on_request_body(stream, random.below(2) == 0);
            }
            1 => {
                let status = *random.one(&["0", "14", "x", ""]);
                let kind = *random.one(&["application/grpc", "text/html"]);
                stream.response =
                    headers(&[(":status", "200"), ("content-type", kind), ("grpc-status", status)]);
                filter.on_response_headers(stream, random.below(3) == 0);
            }
            2 | 3 => {
                stream.received = answer.clone();
                damage(&mut stream.received, random);
                filter.on_response_body(stream, random.below(4) == 0);
            }
            4 => {
                let status = *random.one(&["0", "16", "99"]);
                stream.trailers = headers(&[("grpc-status", status)]);
                filter.on_response_trailers(stream);
            }
            _ => drop(open.swap_remove(place)),
        }
    });
}
