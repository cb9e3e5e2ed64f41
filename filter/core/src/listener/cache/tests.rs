mod new_questions;
mod released;
mod waiting;

use std::time::Duration;

use crate::cache::pool::registry;
use crate::calls::pool::PoolCalls;
use crate::calls::tally::Tally;
use crate::host::body::RequestBody;
use crate::host::fake::{grpc_request, headers, FakeStream};
use crate::host::own_call::OwnCallId;
use crate::host::response::{LocalReply, Response};
use crate::host::{Action, Verdict};
use crate::listener::route::RouteConfig;
use crate::listener::{Listener, Settings};
use crate::noting::Notes;
use crate::wire::encode::{delimited, framed};
use crate::wire::fuzz::fuzz;

/// A request on a route of this pool.
fn request(pool: &str, method: &str) -> FakeStream {
    let route = format!(
        r#"{{"cache":{{"pool":"{pool}","cluster":"c","bound_ms":5000,"eventual_bound_ms":5000,"fill_lag_ms":1000,
        "max_wait_ms":3000,"memory":1000000,"max_entry_bytes":1000,"epoch":0,"reads":true}},"pool":"{pool}"}}"#
    );
    let mut stream = grpc_request(method);
    stream.request.push((":method".to_owned(), "POST".to_owned()));
    stream.route = Some(Box::new(RouteConfig::parse(route.as_bytes()).unwrap()));
    stream
}

/// A search at the level Bounded.
fn question() -> Vec<u8> {
    framed(&[&delimited(3, b"books")[..], &[14 << 3, 2]].concat())
}

/// The answer to a call of the filter's own.
fn own_answer(path: &str) -> Vec<u8> {
    match path.rsplit('/').next() {
        Some("AllocTimestamp") => framed(&[2 << 3, 100]),
        Some("DescribeCollection") => framed(&[11 << 3, 2]),
        other => panic!("{other:?}"),
    }
}

/// Sends a request as a whole, and answers the filter's own calls.
fn send(listener: &mut Listener, stream: &mut FakeStream, body: &[u8]) -> Verdict {
    match listener.on_request_headers(stream, false) {
        Verdict::Hold => {}
        other => return other,
    }
    stream.received = body.to_vec();
    let mut verdict = listener.on_request_body(stream, true);
    let waits = verdict == Verdict::Hold && !stream.own_calls.is_empty();
    if waits {
        stream.held = std::mem::take(&mut stream.received);
    }
    for (id, path) in stream.own_calls.clone().iter().enumerate() {
        let answer = own_answer(path);
        let after = listener.on_own_call_done(stream, OwnCallId(id as u64), Some(&answer));
        if waits {
            assert_eq!(Verdict::Hold, std::mem::replace(&mut verdict, after));
        } else {
            assert_eq!(Verdict::Hold, after, "nothing is held any more");
        }
    }
    verdict
}

/// Answers a call in pieces of so many bytes, and says how often the answer was held.
fn answer(listener: &mut Listener, stream: &mut FakeStream, body: &[u8], size: usize) -> usize {
    stream.response = headers(&[(":status", "200"), ("content-type", "application/grpc")]);
    let mut actions = vec![listener.on_response_headers(stream, false)];
    for piece in body.chunks(size) {
        stream.received = piece.to_vec();
        actions.push(listener.on_response_body(stream, false));
    }
    stream.trailers = headers(&[("grpc-status", "0")]);
    listener.on_response_trailers(stream);
    actions.iter().filter(|action| **action == Action::Hold).count()
}

fn settings() -> Settings {
    Settings::of_test()
}

const SUCCESS: &[u8] = &[0x0a, 0]; // {status: {}}

/// A search at a time in ms, with what its client gets: the header, and the answer where it is stored.
fn search(pool: &str, milliseconds: u64) -> (String, FakeStream) {
    search_as(pool, milliseconds, &settings(), None)
}

/// The same with these settings and this `traceparent`.
fn search_as(
    pool: &str,
    milliseconds: u64,
    settings: &Settings,
    traceparent: Option<&str>,
) -> (String, FakeStream) {
    let (mut listener, mut stream) = (Listener::new(settings), request(pool, "Search"));
    stream.request.extend(traceparent.map(|value| ("traceparent".to_owned(), value.to_owned())));
    stream.time = Duration::from_millis(milliseconds);
    let verdict = send(&mut listener, &mut stream, &question());
    let did = match verdict {
        Verdict::Continue => {
            let mut sent = Vec::new();
            stream.read_held_request_body(|piece| sent.extend_from_slice(piece));
            stream.read_request_body(|piece| sent.extend_from_slice(piece));
            assert_eq!(0, answer(&mut listener, &mut stream, &framed(SUCCESS), 3));
            stream.received = sent;
            String::from_utf8(stream.response_header("kiteway-cache").unwrap().to_vec()).unwrap()
        }
        Verdict::Reply(LocalReply::Stored { header: (name, value), body }) => {
            assert_eq!(("kiteway-cache", &framed(SUCCESS)[..]), (name, &body[..]));
            value
        }
        other => panic!("{other:?}"),
    };
    listener.on_stream_complete(&mut stream);
    (did, stream)
}

#[test]
fn a_search_is_sent_with_a_guarantee_and_the_second_is_answered_from_the_cache() {
    let pool = "test/visit/search";
    let _in_use = registry::pool(pool);

    let (did, stream) = search(pool, 0);

    assert_eq!("bypass; reason=level-unknown", did, "the pool is closed in its first second");
    assert_eq!(question(), stream.received);
    assert_eq!(1, stream.own_calls.len(), "a timestamp");

    let (did, stream) = search(pool, 1100);

    assert_eq!("miss", did);
    assert_eq!(2, stream.own_calls.len(), "a timestamp and the collection's level");
    let suffix = [11 << 3, 100, 14 << 3, 4, 15 << 3, 0];
    assert_eq!(framed(&[&question()[5..], &suffix[..]].concat()), stream.received);

    let (did, stream) = search(pool, 1150);

    assert_eq!("hit; age=1.1", did);
    let notes: Vec<_> = stream.notes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let expected =
        ["cache=hit", "database=default", "collection=books", "level=bounded", "code=0", "rows=0"];
    assert_eq!(expected, notes[..]);
}

/// How often something was counted of the reads of a pool, by collection and rpc: calls, hits, joined, misses, bypasses.
fn counted(pool: &str) -> Vec<(String, [u64; 5])> {
    let of = |tally: &Tally| {
        let [hit, joined, miss, bypass] = tally.cached;
        [tally.calls, hit, joined, miss, bypass]
    };
    let mut found = Vec::new();
    PoolCalls::named(pool).each(|table| {
        for (name, by_rpc) in table.collections.iter() {
            let name = String::from_utf8_lossy(name).replace('\0', "/");
            found.extend(by_rpc.iter().map(|(rpc, tally)| (format!("{name} {rpc}"), of(tally))));
        }
        found.extend(
            table.other_collections.iter().map(|(rpc, tally)| (format!("other {rpc}"), of(tally))),
        );
    });
    found
}

/// The filter of the endpoint counts the attempts, which are none here. So a collection is known with the first hit.
#[test]
fn what_the_cache_did_is_counted_at_the_end_of_a_read_and_a_hit_is_a_call() {
    let pool = "test/visit/counted";
    let (_in_use, _counted) = (registry::pool(pool), PoolCalls::named(pool));
    search(pool, 0);
    search(pool, 1100);
    assert_eq!([("other Search".to_owned(), [0, 0, 0, 1, 1])], counted(pool)[..]);

    for _ in 0..3 {
        search(pool, 1150);
    }

    let hits = ("default/books Search".to_owned(), [3, 3, 0, 0, 0]);
    assert_eq!([hits, ("other Search".to_owned(), [0, 0, 0, 1, 1])], counted(pool)[..]);
}

#[test]
fn the_answer_to_a_change_is_held_until_its_status_is_known() {
    let pool = "test/visit/change";
    let body = framed(&[0x18, 1]); // {code: 1}
    for size in 1..=body.len() {
        let settings = settings();
        let (mut listener, mut stream) =
            (Listener::new(&settings), request(pool, "DropCollection"));

        assert_eq!(Verdict::Continue, send(&mut listener, &mut stream, &framed(&[])));
        // The headers, and each piece but the one that completes the status.
        assert_eq!(body.len().div_ceil(size), answer(&mut listener, &mut stream, &body, size));
    }
}

#[test]
fn a_change_empties_the_cache_unless_it_is_refused() {
    let pool = "test/visit/empties";
    let _in_use = registry::pool(pool);
    search(pool, 0);
    search(pool, 1100);
    let change = |milliseconds, status: &[u8]| {
        let settings = settings();
        let (mut listener, mut stream) =
            (Listener::new(&settings), request(pool, "DropCollection"));
        stream.time = Duration::from_millis(milliseconds);
        assert_eq!(Verdict::Hold, listener.on_request_headers(&mut stream, false));
        assert_eq!("hit; age=1.1", search(pool, 1110).0);
        assert_eq!(Verdict::Continue, listener.on_request_body(&mut stream, true));
        assert!(search(pool, 1120).0.starts_with("bypass"));
        answer(&mut listener, &mut stream, &framed(status), 100);
    };

    change(1115, &[0x18, 0xf9, 0x0a]); // {code: 1401}
    assert!(search(pool, 1130).0.starts_with("hit"));
    change(1115, &[]);
    assert!(search(pool, 1130).0.starts_with("bypass"));
    // It has been open again since 2,115 ms.
    assert!(search(pool, 2110).0.starts_with("bypass"));
    assert_eq!("miss", search(pool, 2200).0);
}

/// Messages on a replication stream are changes, as long as it is open.
#[test]
fn a_stream_of_changes_keeps_the_cache_closed_to_its_end() {
    let pool = "test/visit/stream";
    let _in_use = registry::pool(pool);
    search(pool, 0);
    search(pool, 1100);
    let settings = settings();
    let (mut listener, mut stream) =
        (Listener::new(&settings), request(pool, "CreateReplicateStream"));
    stream.time = Duration::from_millis(1110);
    assert_eq!(Verdict::Continue, listener.on_request_headers(&mut stream, false));
    stream.response = headers(&[(":status", "200"), ("content-type", "application/grpc")]);
    assert_eq!(Action::Continue, listener.on_response_headers(&mut stream, false));
    stream.received = framed(SUCCESS);
    assert_eq!(Action::Continue, listener.on_response_body(&mut stream, false));
    // Longer than a call without an answer.
    for milliseconds in [1120, 9000, 10_100] {
        let did = search(pool, milliseconds).0;
        assert!(did.starts_with("bypass"), "{milliseconds}: {did}");
    }

    stream.time = Duration::from_millis(10_110);
    listener.on_stream_complete(&mut stream);

    assert!(search(pool, 11_110).0.starts_with("bypass"));
    assert_eq!("miss", search(pool, 11_200).0);
}

/// Milvus can act on a large request when the message is complete, and not before.
#[test]
fn a_large_change_closes_the_cache_when_its_message_is_complete() {
    let pool = "test/visit/large";
    let _in_use = registry::pool(pool);
    search(pool, 0);
    search(pool, 1100);
    let settings = settings();
    let (mut listener, mut stream) = (Listener::new(&settings), request(pool, "DropCollection"));
    stream.time = Duration::from_millis(1110);
    let body = framed(&vec![0; 600 << 10]);
    let (last, most) = body.split_last().unwrap();
    assert_eq!(Verdict::Hold, listener.on_request_headers(&mut stream, false));
    stream.received = most.to_vec();
    assert_eq!(Verdict::Continue, listener.on_request_body(&mut stream, false));
    assert!(search(pool, 1120).0.starts_with("hit"));
    stream.received = vec![*last];
    assert_eq!(Verdict::Continue, listener.on_request_body(&mut stream, false));
    assert_eq!("bypass; reason=closed", search(pool, 1130).0);
}

/// Any order of hooks, with any pieces at any moment, ends without a panic.
#[test]
fn fuzz_the_cache() {
    let settings = settings();
    let mut open: Vec<(Listener, FakeStream)> = Vec::new();
    let mut run = 0;
    fuzz("the hooks of the cache", 20_000, |numbers| {
        run += 1;
        let mut random = |below| numbers.below(below);
        if open.len() < 8 {
            let method = ["Search", "Query", "DropCollection", "NoSuch"][random(4)];
            let mut stream = request("test/visit/fuzz", method);
            let mut listener = Listener::new(&settings);
            listener.on_request_headers(&mut stream, random(9) == 0);
            open.push((listener, stream));
        }
        let place = random(open.len());
        let (listener, stream) = &mut open[place];
        stream.time = Duration::from_millis(run * 7);
        match random(8) {
            0 | 1 => {
                let mut body = question();
                let damage = random(body.len());
                body[damage] ^= (random(4) == 0) as u8 * 0xff;
                stream.received = body;
                listener.on_request_body(stream, random(3) > 0);
            }
            2 => {
                listener.on_request_trailers(stream);
            }
            3 => {
                listener.on_wake(stream);
            }
            4 => {
                let id = OwnCallId(random(3) as u64);
                let path = stream.own_calls.get(id.0 as usize);
                let answer = path.map(|path| own_answer(path));
                listener.on_own_call_done(stream, id, answer.as_deref());
            }
            5 => {
                stream.response =
                    headers(&[(":status", "200"), ("content-type", "application/grpc")]);
                listener.on_response_headers(stream, random(4) == 0);
            }
            6 => {
                stream.received = framed(SUCCESS);
                listener.on_response_body(stream, random(4) == 0);
                stream.trailers = headers(&[("grpc-status", ["0", "14"][random(2)])]);
                listener.on_response_trailers(stream);
            }
            _ => {
                let (mut listener, mut stream) = open.swap_remove(place);
                if random(2) == 0 {
                    listener.on_stream_complete(&mut stream);
                }
            }
        }
    });
}

#[test]
fn a_read_that_may_be_traced_is_noted_with_the_consistency_that_its_client_asks_for() {
    let traced = Settings { notes: Notes { all: false, traced: true }, ..settings() };
    let flags = |flags: &str| format!("00-{}-{}-{flags}", "a".repeat(32), "b".repeat(16));
    for (pool, traceparent, level, collection) in [
        ("test/visit/drawn", None, true, false),
        ("test/visit/sampled", Some(flags("01")), true, true),
        ("test/visit/unsampled", Some(flags("00")), false, false),
    ] {
        let _in_use = registry::pool(pool);
        search(pool, 0);
        let (did, stream) = search_as(pool, 1100, &traced, traceparent.as_deref());

        let has =
            |key: &str, value: &str| stream.notes.contains(&(key.to_owned(), value.to_owned()));
        assert!(has("cache", "miss"), "{did} {:?}", stream.notes);
        assert_eq!(
            [level, collection],
            [has("level", "bounded"), has("collection", "books")],
            "{pool}: {:?}",
            stream.notes
        );
    }
}

#[test]
fn an_answer_of_the_cache_is_noted_for_a_span_unless_its_client_traces_nothing() {
    let pool = "test/visit/traced";
    let _in_use = registry::pool(pool);
    search(pool, 0);
    search(pool, 1100);
    let traced = Settings { notes: Notes { all: false, traced: true }, ..settings() };
    let flags = |flags: &str| format!("00-{}-{}-{flags}", "a".repeat(32), "b".repeat(16));
    for (traceparent, noted) in
        [(None, true), (Some(flags("01")), true), (Some(flags("00")), false)]
    {
        let (did, stream) = search_as(pool, 1150, &traced, traceparent.as_deref());

        assert!(did.starts_with("hit"), "{did}");
        let has =
            |key: &str, value: &str| stream.notes.contains(&(key.to_owned(), value.to_owned()));
        assert!(has("cache", "hit"));
        assert_eq!(
            [noted; 3],
            [has("rpc", "Search"), has("collection", "books"), has("code", "0")]
        );
    }
}
