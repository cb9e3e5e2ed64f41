use std::sync::LazyLock;
use std::time::Duration;

use super::*;
use crate::host::fake::{grpc_request, headers, FakeStream, Names};
use crate::milvus::caller::{HashKey, Naming};
use crate::wire::encode::{delimited, framed, varint};
use crate::wire::fuzz::{damage, fuzz};

/// SearchResults{status: {error_code: NotReadyServe, code: 1}}, framed.
pub const NOT_READY: [u8; 11] = [0, 0, 0, 0, 6, 0x0a, 4, 0x08, 56, 0x18, 1];

pub fn new_pool(api: Api, logs: bool) -> Pool {
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

fn rest(path: &str) -> Exchange {
    let mut stream = FakeStream { request: headers(&[(":path", path)]), ..FakeStream::default() };
    let mut filter = Attempt::new(pool(Api::Rest, false));
    filter.on_request_headers(&mut stream);
    Exchange { stream, filter }
}

const JSON: [(&str, &str); 2] =
    [(":status", "200"), ("content-type", "application/json; charset=utf-8")];

#[test]
fn a_rest_read_that_finds_the_proxy_not_ready_is_a_503_with_its_body() {
    for path in ["/v2/vectordb/entities/search", "/v1/vector/query?x=1"] {
        for pieces in [
            vec![&br#"{"code":1,"message":"service not ready[proxy=1]: Abnormal"}"#[..]],
            vec![br#"{"co"#, br#"de":2,"message":"service "#, br#"unavailable"}"#],
        ] {
            let mut exchange = rest(path);
            assert_eq!(Action::Hold, exchange.headers(&JSON, false));
            let (last, first) = pieces.split_last().unwrap();
            for piece in first {
                assert_eq!(Action::Hold, exchange.body(piece, false));
            }

            assert_eq!(Action::Continue, exchange.body(last, false));
            assert_eq!(Some(&b"503"[..]), exchange.stream.response_header(":status"));
            assert_eq!(last.to_vec(), exchange.stream.received);
            assert_eq!(Action::Continue, exchange.body(b"", true));
            assert_eq!(vec!["rest", "5xx"], exchange.counted());
        }
    }
}

#[test]
fn any_other_rest_answer_is_passed_on_as_it_is() {
    let long = format!(r#"{{"a":"{}","code":1}}"#, "x".repeat(5000));
    for body in
        [&b"{\"code\":0,\"data\":[]}"[..], b"{\"code\":4}", b"{\"code\":100}", long.as_bytes()]
    {
        let mut exchange = rest("/v2/vectordb/entities/search");
        assert_eq!(Action::Hold, exchange.headers(&JSON, false));
        assert_eq!(Action::Continue, exchange.body(body, false));
        assert_eq!(Some(&b"200"[..]), exchange.stream.response_header(":status"));
    }
    let mut of_caller = rest("/v1/vector/query");
    of_caller.headers(&JSON, false);
    assert_eq!(Action::Continue, of_caller.body(b"{\"code\":1,\"message\":\"bad\"}", true));
    assert_eq!(Some(&b"200"[..]), of_caller.stream.response_header(":status"));
    let mut unended = rest("/v2/vectordb/entities/search");
    unended.headers(&JSON, false);
    assert_eq!(Action::Continue, unended.body(b"{", true));
    let mut failed = rest("/v2/vectordb/entities/search");
    let unauthorized = [(":status", "401"), JSON[1]];
    assert_eq!(Action::Continue, failed.headers(&unauthorized, false));
}

#[test]
fn a_rest_write_is_neither_held_nor_changed() {
    for path in ["/v2/vectordb/entities/insert", "/v2/vectordb/collections/drop", "/other"] {
        let mut exchange = rest(path);
        assert_eq!(Action::Continue, exchange.headers(&JSON, false));
        assert_eq!(Action::Continue, exchange.body(b"{\"code\":1}", true));
        assert_eq!(Some(&b"200"[..]), exchange.stream.response_header(":status"));
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

/// The listener has noted what the client asks for; the request of the endpoint asks for another consistency.
#[test]
fn of_a_read_whose_answer_may_be_kept_only_the_answer_is_noted() {
    for (outcome, has_level) in [("miss", false), ("bypass", true)] {
        let mut exchange = Exchange::new("Search");
        let mut stream = grpc_request("Search");
        stream.note_cache(outcome);
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
