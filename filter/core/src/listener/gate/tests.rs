use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::host::fake::{grpc_request, headers, FakeStream, Names};
use crate::host::response::LocalReply;
use crate::milvus::milvus_status::code;
use crate::milvus::rpc::MilvusStatusLocation;
use crate::wire::encode::{delimited, framed, varint};

mod moments;

fn metrics() -> GateMetrics {
    GateMetrics::define(&mut Names::default()).unwrap()
}

/// A route with a policy of its own; `policy` is JSON without its scope.
fn route(policy: &str) -> RouteConfig {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let scope = format!("\"scope\":\"{}\"", COUNT.fetch_add(1, Ordering::Relaxed));
    let text = format!("{{\"policy\":{}}}", policy.replace("SCOPE", &scope));
    RouteConfig::parse(text.as_bytes()).unwrap()
}

const ONE_READ: &str =
    r#"{"admission":{SCOPE,"reads":1,"writes":1,"waitMs":3600000,"queuedBytes":1000000}}"#;

fn limited(limit: &str) -> RouteConfig {
    route(&format!("{{SCOPE,\"limits\":[{limit}]}}"))
}

fn request(method: &str, user: &str, route: &RouteConfig) -> FakeStream {
    let mut stream = grpc_request(method);
    stream.request.push(("authorization".to_owned(), user.to_owned()));
    stream.route = Some(Box::new(route.clone()));
    stream
}

fn search(collection: &str) -> Vec<u8> {
    let topk = [delimited(1, b"topk"), delimited(2, b"10")].concat();
    framed(&[delimited(3, collection.as_bytes()), delimited(9, &topk), varint(12, 2)].concat())
}

/// A call whose request has arrived, and what was decided.
fn call<'a>(metrics: &'a GateMetrics, stream: &mut FakeStream, body: &[u8]) -> (Gate<'a>, Verdict) {
    let mut gate = Gate::new(metrics);
    match gate.on_request_headers(stream, false) {
        Verdict::Hold => {}
        other => return (gate, other),
    }
    stream.received = body.to_vec();
    let verdict = gate.on_request_body(stream, true);
    (gate, verdict)
}

/// Milvus answers a gRPC call with this code.
fn answer(gate: &mut Gate, stream: &mut FakeStream, code: u32) {
    stream.response = headers(&[(":status", "200"), ("content-type", "application/grpc")]);
    gate.on_response_headers(stream, false);
    stream.received = framed(&delimited(1, &varint(3, code)));
    gate.on_response_body(stream);
    gate.on_stream_complete(stream);
}

fn refused(verdict: &Verdict) -> bool {
    let Verdict::Reply(LocalReply::Message(message)) = verdict else { return false };
    code(message, MilvusStatusLocation::Field(1)) == Some(8)
}

#[test]
fn without_a_policy_nothing_is_held() {
    for route in [None, Some(RouteConfig::default())] {
        let metrics = metrics();
        let mut stream = grpc_request("Search");
        stream.route = route.map(|route| Box::new(route) as _);
        let mut gate = Gate::new(&metrics);

        assert_eq!(Verdict::Continue, gate.on_request_headers(&mut stream, false));
        assert_eq!(Verdict::Continue, gate.on_request_body(&mut stream, true));
        assert!(gate.passage.is_none());
    }
}

#[test]
fn calls_of_connections_and_health_always_pass() {
    let (metrics, route) = (metrics(), limited(r#"{"by":["user"],"requestsPerSecond":1e-9}"#));
    for method in ["Connect", "GetVersion", "CheckHealth", "NoSuchCall", "DumpMessages"] {
        for _ in 0..3 {
            let (_, verdict) = call(&metrics, &mut request(method, "a", &route), &search("c"));
            assert_eq!(Verdict::Continue, verdict, "{method}");
        }
    }
}

#[test]
fn a_user_over_its_limit_is_refused_and_another_is_not() {
    let (metrics, route) =
        (metrics(), limited(r#"{"by":["user"],"requestsPerSecond":1,"burstMs":0}"#));
    let mut first = request("Search", "a", &route);
    let (mut gate, verdict) = call(&metrics, &mut first, &search("c"));
    assert_eq!(Verdict::Continue, verdict);
    answer(&mut gate, &mut first, 0);

    let mut second = request("Search", "a", &route);
    let (_, verdict) = call(&metrics, &mut second, &search("c"));
    assert!(refused(&verdict), "{verdict:?}");
    assert_eq!(Some("requests"), second.refusal);
    assert_eq!("requests", second.counted[0].1);
    let (_, verdict) = call(&metrics, &mut request("Search", "b", &route), &search("c"));
    assert_eq!(Verdict::Continue, verdict);

    let mut later = request("Search", "a", &route);
    later.time = Duration::from_millis(1001);
    assert_eq!(Verdict::Continue, call(&metrics, &mut later, &search("c")).1);
}

#[test]
fn a_limit_by_collection_counts_each_collection_of_each_database() {
    let (metrics, route) = (metrics(), limited(r#"{"by":["collection"],"inFlight":1}"#));
    let mut open = Vec::new();
    for (collection, database, passes) in [
        ("a", "x", true),
        ("a", "x", false),
        ("b", "x", true),
        ("a", "y", true),
        ("a", "", true),
        ("a", "default", false),
    ] {
        let mut stream = request("Search", collection, &route);
        stream.request.push(("dbname".to_owned(), database.to_owned()));
        let (gate, verdict) = call(&metrics, &mut stream, &search(collection));

        assert_eq!(passes, verdict == Verdict::Continue, "{collection} {database}");
        assert_eq!(!passes, refused(&verdict));
        open.push(gate);
    }
}

#[test]
fn a_message_that_cannot_be_read_is_refused_where_a_limit_depends_on_it() {
    let readable = search("c");
    let mut compressed = readable.clone();
    compressed[0] = 1;
    let malformed = framed(&[0x0f]);
    for (limit, depends) in [
        (r#"{"by":["collection"],"inFlight":9}"#, true),
        (r#"{"by":["database"],"inFlight":9}"#, true),
        (r#"{"by":["user"],"rowsPerSecond":9}"#, true),
        (r#"{"by":["user"],"inFlight":9,"bytesPerSecond":9e9}"#, false),
    ] {
        let (metrics, route) = (metrics(), limited(limit));
        for (message, is_readable) in [(&readable, true), (&compressed, false), (&malformed, false)]
        {
            let mut stream = request("Search", "u", &route);
            let (_, verdict) = call(&metrics, &mut stream, message);
            if is_readable || !depends {
                assert_eq!(Verdict::Continue, verdict, "{limit} {message:?}");
                continue;
            }
            let Verdict::Reply(LocalReply::Message(answer)) = verdict else { panic!("{limit}") };
            assert_eq!(Some(1100), code(&answer, MilvusStatusLocation::Field(1)), "{limit}");
            assert_eq!(Some("unreadable"), stream.refusal);
        }
    }
}

#[test]
fn a_limit_holds_for_its_names_only() {
    for (limit, names) in [
        (r#"{"by":["collection"],"inFlight":1,"names":["a"]}"#, [false, true]),
        (r#"{"by":["collection"],"inFlight":1,"except":["a"]}"#, [true, false]),
    ] {
        let (metrics, route) = (metrics(), limited(limit));
        for (collection, unlimited) in ["a", "b"].into_iter().zip(names) {
            let mut gates = Vec::new();
            let mut passes = || {
                let mut stream = request("Search", "u", &route);
                let (gate, verdict) = call(&metrics, &mut stream, &search(collection));
                gates.push(gate);
                verdict == Verdict::Continue
            };
            assert_eq!([true, unlimited], [passes(), passes()], "{limit} {collection}");
        }
    }
}

#[test]
fn a_limit_by_user_may_name_users() {
    let (metrics, route) =
        (metrics(), limited(r#"{"by":["user"],"inFlight":1,"names":["batch"]}"#));
    let mut open = Vec::new();
    for (user, passes) in [
        ("YmF0Y2g6YQ==", true),  // batch:a
        ("YmF0Y2g6YQ==", false), // again
        ("b3RoZXI6YQ==", true),  // other:a
        ("b3RoZXI6YQ==", true),
    ] {
        let (gate, verdict) = call(&metrics, &mut request("Search", user, &route), &search("c"));

        assert_eq!(passes, verdict == Verdict::Continue, "{user}");
        open.push(gate);
    }
}

#[test]
fn a_content_type_that_is_not_grpc_is_read_as_rest() {
    // Envoy's routes for gRPC take `application/grpc` and `application/grpc+...` only.
    let (metrics, route) = (metrics(), limited(r#"{"by":["collection"],"inFlight":1}"#));
    let mut open = Vec::new();
    for (content_type, passes) in
        [("application/json", true), ("application/grpc-web", false), ("application/grpc;x", false)]
    {
        let mut stream = FakeStream {
            request: headers(&[
                (":path", "/v2/vectordb/entities/search"),
                ("content-type", content_type),
            ]),
            route: Some(Box::new(route.clone())),
            ..FakeStream::default()
        };
        let (gate, verdict) = call(&metrics, &mut stream, br#"{"collectionName":"c"}"#);

        assert_eq!(passes, verdict == Verdict::Continue, "{content_type}");
        open.push(gate);
    }
    for content_type in ["application/grpc", "application/grpc+proto"] {
        let mut stream = request("Search", "u", &route);
        stream.request[1].1 = content_type.to_owned();

        assert!(refused(&call(&metrics, &mut stream, &search("c")).1), "{content_type}");
    }
}

#[test]
fn an_upgrade_is_decided_about_by_its_headers() {
    let (metrics, route) =
        (metrics(), limited(r#"{"by":["user"],"requestsPerSecond":1e-3,"burstMs":0}"#));
    let upgrade = || {
        let mut stream = FakeStream {
            request: headers(&[(":method", "GET"), (":path", "/socket"), ("upgrade", "websocket")]),
            route: Some(Box::new(route.clone())),
            ..FakeStream::default()
        };
        Gate::new(&metrics).on_request_headers(&mut stream, false)
    };

    assert_eq!(Verdict::Continue, upgrade());
    assert!(matches!(upgrade(), Verdict::Reply(LocalReply::Json { status: 429, .. })));
}

#[test]
fn only_get_can_upgrade() {
    let (metrics, route) = (metrics(), limited(r#"{"by":["collection"],"inFlight":1}"#));
    let mut stream = FakeStream {
        request: headers(&[
            (":method", "POST"),
            (":path", "/v2/vectordb/entities/search"),
            ("upgrade", "websocket"),
        ]),
        route: Some(Box::new(route.clone())),
        ..FakeStream::default()
    };
    let (_open, verdict) = call(&metrics, &mut stream, br#"{"collectionName":"c"}"#);
    assert_eq!(Verdict::Continue, verdict);

    let mut next = request("Search", "u", &route);
    assert!(refused(&call(&metrics, &mut next, &search("c")).1));
}

#[test]
fn rest_and_grpc_share_limits_and_queues() {
    let rest = |body: &str, route: &RouteConfig| FakeStream {
        request: headers(&[
            (":path", "/v2/vectordb/entities/search"),
            ("content-type", "application/json"),
            ("authorization", "Bearer root:Milvus"),
        ]),
        received: body.as_bytes().to_vec(),
        route: Some(Box::new(route.clone())),
        ..FakeStream::default()
    };
    let metrics = metrics();
    for (policy, json, waits) in [
        (
            r#"{SCOPE,"limits":[{"by":["user","collection"],"inFlight":1}]}"#,
            r#"{"collectionName":"c"}"#,
            false,
        ),
        (
            r#"{SCOPE,"limits":[{"by":["collection"],"inFlight":1}]}"#,
            r#"{"dbName":"default","collectionName":"c"}"#,
            false,
        ),
        (ONE_READ, "{}", true),
    ] {
        let route = route(policy);
        let grpc = &mut request("Search", "cm9vdDpNaWx2dXM=", &route); // root:Milvus
        let _open = call(&metrics, grpc, &search("c"));
        let mut stream = rest(json, &route);
        let mut gate = Gate::new(&metrics);
        assert_eq!(Verdict::Hold, gate.on_request_headers(&mut stream, false));
        let verdict = gate.on_request_body(&mut stream, true);

        assert_eq!(waits, verdict == Verdict::Hold, "{policy}");
        assert_eq!(!waits, matches!(verdict, Verdict::Reply(LocalReply::Json { .. })), "{policy}");
    }
}

#[test]
fn rows_and_bytes_are_counted_as_they_arrive() {
    let metrics = metrics();
    let insert = framed(&[delimited(3, b"c"), delimited(5, &[7; 5000]), varint(7, 500)].concat());
    for limit in [
        r#"{"by":["user"],"rowsPerSecond":100,"burstMs":0}"#,
        r#"{"by":["user"],"bytesPerSecond":1000,"burstMs":0}"#,
    ] {
        let route = limited(limit);
        let mut stream = request("Insert", "u", &route);
        let mut gate = Gate::new(&metrics);
        assert_eq!(Verdict::Hold, gate.on_request_headers(&mut stream, false));
        for piece in insert.chunks(100) {
            stream.received = piece.to_vec();
            gate.on_request_body(&mut stream, false);
        }
        assert!(matches!(gate.passage.as_ref().unwrap().stage, Stage::Inside(_)));
        drop(gate);

        for (milliseconds, passes) in [(4900, false), (5100, true)] {
            let mut next = request("Insert", "u", &route);
            next.time = Duration::from_millis(milliseconds);
            let (_, verdict) = call(&metrics, &mut next, &framed(&delimited(3, b"c")));
            assert_eq!(passes, verdict == Verdict::Continue, "{limit} {milliseconds}");
        }
    }
}

#[test]
fn a_request_cannot_claim_more_rows_than_it_has_bytes() {
    let (metrics, route) =
        (metrics(), limited(r#"{"by":["user"],"rowsPerSecond":100,"burstMs":0}"#));
    // Protobuf takes the last value, so a client may claim other numbers as often as it likes.
    let rows = [varint(7, u32::MAX), varint(7, 0)].concat().repeat(20);
    let insert = framed(&[delimited(3, b"c"), delimited(5, &vec![7; 1 << 20]), rows].concat());
    let mut stream = request("Insert", "u", &route);
    let mut gate = Gate::new(&metrics);
    gate.on_request_headers(&mut stream, false);
    let (vectors, claims) = insert.split_at(insert.len() - 160);
    for piece in std::iter::once(vectors).chain(claims.chunks(1)) {
        stream.received = piece.to_vec();
        gate.on_request_body(&mut stream, false);
    }

    for (seconds, passes) in [(insert.len() as u64 / 100 - 1, false), (11_000, true)] {
        let mut next = request("Insert", "u", &route);
        next.time = Duration::from_secs(seconds);
        let (_, verdict) = call(&metrics, &mut next, &framed(&delimited(3, b"c")));
        assert_eq!(passes, verdict == Verdict::Continue, "{seconds}");
    }
}

#[test]
fn rows_that_milvus_does_not_write_are_given_back() {
    let metrics = metrics();
    let insert = framed(&[delimited(3, b"c"), delimited(5, &[7; 5000]), varint(7, 500)].concat());
    for (code, passes) in [(0, false), (1100, true)] {
        let route = limited(r#"{"by":["user"],"rowsPerSecond":100,"burstMs":0}"#);
        let mut stream = request("Insert", "u", &route);
        let (mut gate, _) = call(&metrics, &mut stream, &insert);
        answer(&mut gate, &mut stream, code);

        let (_, verdict) = call(&metrics, &mut request("Insert", "u", &route), &insert);
        assert_eq!(passes, verdict == Verdict::Continue, "{code}");
    }
}

#[test]
fn a_large_request_is_decided_about_before_it_has_arrived() {
    let (metrics, route) =
        (metrics(), limited(r#"{"by":["user"],"rowsPerSecond":100,"burstMs":0}"#));
    let insert =
        framed(&[delimited(3, b"c"), delimited(5, &vec![7; 4 << 20]), varint(7, 500)].concat());
    let mut stream = request("Insert", "u", &route);
    let mut gate = Gate::new(&metrics);
    gate.on_request_headers(&mut stream, false);
    let mut verdicts = Vec::new();
    for piece in insert.chunks(16 << 10) {
        stream.received = piece.to_vec();
        verdicts.push(gate.on_request_body(&mut stream, false));
    }

    assert_eq!(31, verdicts.iter().filter(|verdict| **verdict == Verdict::Hold).count());
    assert!(verdicts[31..].iter().all(|verdict| *verdict == Verdict::Continue));
    // The rows are known at the end, and charged then.
    let mut next = request("Insert", "u", &route);
    next.time = Duration::from_millis(4900);
    assert!(refused(&call(&metrics, &mut next, &search("c")).1));
}

#[test]
fn the_last_part_of_a_body_may_be_among_what_is_held() {
    let (metrics, route) = (metrics(), limited(r#"{"by":["collection"],"inFlight":1}"#));
    let body = search("books");
    for cut in 1..body.len() {
        let mut stream = request("Search", "u", &route);
        let mut gate = Gate::new(&metrics);
        gate.on_request_headers(&mut stream, false);
        stream.received = body[..cut].to_vec();
        assert_eq!(Verdict::Hold, gate.on_request_body(&mut stream, false));
        (stream.held, stream.received, stream.piece) = (body.clone(), Vec::new(), Some(3));
        assert_eq!(Verdict::Continue, gate.on_request_body(&mut stream, true), "{cut}");
        let (_, verdict) = call(&metrics, &mut request("Search", "u", &route), &body);
        assert!(refused(&verdict), "{cut}");
    }
}

#[test]
fn a_call_waits_for_the_one_before_it_and_is_woken() {
    let (metrics, route) = (metrics(), route(ONE_READ));
    let mut first = request("Search", "a", &route);
    let (mut running, verdict) = call(&metrics, &mut first, &search("c"));
    assert_eq!(Verdict::Continue, verdict);
    let mut second = request("Search", "a", &route);
    let (mut waiting, verdict) = call(&metrics, &mut second, &search("c"));
    assert_eq!(Verdict::Hold, verdict);
    assert_eq!(vec![1], second.gauges.values().copied().collect::<Vec<_>>());
    assert_eq!(Verdict::Hold, waiting.on_wake(&mut second));

    answer(&mut running, &mut first, 0);

    assert_eq!(1, second.woken.load(Ordering::Relaxed));
    second.time = Duration::from_millis(7);
    assert_eq!(Verdict::Continue, waiting.on_wake(&mut second));
    assert_eq!(vec![0], second.gauges.values().copied().collect::<Vec<_>>());
    assert_eq!(7, second.recorded[0].1);
    // A second wake finds nothing to do.
    assert_eq!(Verdict::Hold, waiting.on_wake(&mut second));
}

#[test]
fn writes_and_everything_else_do_not_wait_for_reads() {
    let (metrics, route) = (metrics(), route(ONE_READ));
    let _running = call(&metrics, &mut request("Search", "a", &route), &search("c"));

    for method in ["Insert", "DescribeCollection", "CreateCollection"] {
        let (_, verdict) = call(&metrics, &mut request(method, "a", &route), &search("c"));
        assert_eq!(Verdict::Continue, verdict, "{method}");
    }
}

#[test]
fn a_client_that_gives_up_is_refused_or_forgotten() {
    let (metrics, route) = (metrics(), route(ONE_READ));
    let mut first = request("Search", "a", &route);
    let (mut running, _) = call(&metrics, &mut first, &search("c"));
    let mut late = request("Search", "a", &route);
    late.request.push(("grpc-timeout".to_owned(), "0m".to_owned()));
    let (_, verdict) = call(&metrics, &mut late, &search("c"));
    assert!(refused(&verdict));
    assert_eq!(Some("waited"), late.refusal);

    let mut reset = request("Search", "a", &route);
    let (mut gate, verdict) = call(&metrics, &mut reset, &search("c"));
    assert_eq!(Verdict::Hold, verdict);
    gate.on_stream_complete(&mut reset);
    drop(gate);
    assert_eq!(vec![0], reset.gauges.values().copied().collect::<Vec<_>>());
    answer(&mut running, &mut first, 0);
    assert_eq!(0, reset.woken.load(Ordering::Relaxed));
    let (_, verdict) = call(&metrics, &mut request("Search", "a", &route), &search("c"));
    assert_eq!(Verdict::Continue, verdict);
}

#[test]
fn a_queue_that_is_full_refuses_at_once() {
    let (metrics, route) =
        (metrics(), route(r#"{"admission":{SCOPE,"reads":1,"waitMs":3600000,"queuedBytes":0}}"#));
    let _running = call(&metrics, &mut request("Search", "a", &route), &search("c"));
    let mut stream = request("Search", "a", &route);

    assert!(refused(&call(&metrics, &mut stream, &search("c")).1));
    assert_eq!(Some("queue_full"), stream.refusal);
}

#[test]
fn a_waiting_request_that_has_not_ended_counts_as_all_that_envoy_may_buffer_of_it() {
    for (end, waits) in [(true, [true; 3]), (false, [true, true, false])] {
        let (metrics, route) = (
            metrics(),
            route(r#"{"admission":{SCOPE,"reads":1,"waitMs":3600000,"queuedBytes":2200000}}"#),
        );
        let _running = call(&metrics, &mut request("Search", "a", &route), &search("c"));
        let mut open = Vec::new();
        for each in waits {
            let mut stream = request("Search", "a", &route);
            let mut gate = Gate::new(&metrics);
            gate.on_request_headers(&mut stream, false);
            stream.received = search("c");

            let verdict = gate.on_request_body(&mut stream, end);
            assert_eq!(each, verdict == Verdict::Hold, "{end} {verdict:?}");
            open.push(gate);
        }
    }
}

#[test]
fn who_is_not_authenticated_uses_nothing_up() {
    let (metrics, route) =
        (metrics(), limited(r#"{"by":["collection"],"requestsPerSecond":1,"burstMs":0}"#));
    for _ in 0..5 {
        let mut stream = request("Search", "stranger", &route);
        let (mut gate, verdict) = call(&metrics, &mut stream, &search("c"));
        assert_eq!(Verdict::Continue, verdict);
        stream.response = headers(&[(":status", "200"), ("grpc-status", "16")]);
        gate.on_response_headers(&mut stream, true);
    }
}

#[test]
fn the_database_of_a_rest_request_is_that_of_the_header_that_milvus_reads() {
    let (metrics, route) = (metrics(), limited(r#"{"by":["database"],"inFlight":1}"#));
    let mut open = Vec::new();
    for (path, header, database, passes) in [
        ("/v2/vectordb/entities/search", "db-name", "a", true),
        ("/v2/vectordb/entities/search", "db-name", "a", false),
        ("/v2/vectordb/entities/search", "db-name", "", true), // the default one
        ("/v2/vectordb/entities/search", "dbname", "b", false),
        ("/v1/vector/search", "db-name", "b", false),
    ] {
        let mut stream = FakeStream {
            request: headers(&[(":path", path), (header, database)]),
            route: Some(Box::new(route.clone())),
            ..FakeStream::default()
        };
        let (gate, verdict) = call(&metrics, &mut stream, br#"{"collectionName":"c"}"#);

        assert_eq!(passes, verdict == Verdict::Continue, "{path} {header} {database}");
        open.push(gate);
    }
}

#[test]
fn calls_that_are_reset_before_milvus_answers_use_up_nothing_of_known_users() {
    let metrics = metrics();
    for stranger in ["stranger", ""] {
        let route = limited(r#"{"by":["collection"],"requestsPerSecond":1,"burstMs":0}"#);
        let at = |user: &str, seconds| {
            let mut stream = request("Search", user, &route);
            stream.time = Duration::from_secs(seconds);
            let (mut gate, verdict) = call(&metrics, &mut stream, &search("c"));
            if verdict == Verdict::Continue && user == "known" {
                answer(&mut gate, &mut stream, 0);
            }
            verdict == Verdict::Continue
        };
        assert!(at("known", 0));

        assert_eq!([true, false, false], [0; 3].map(|_| at(stranger, 10)), "{stranger:?}");
        assert_eq!([true, false], [0; 2].map(|_| at("known", 10)), "{stranger:?}");
    }
}

#[test]
fn calls_without_credentials_share_a_limit_once_milvus_answers_them() {
    let (metrics, route) =
        (metrics(), limited(r#"{"by":["collection"],"requestsPerSecond":1,"burstMs":0}"#));
    let mut verdicts = Vec::new();
    for (seconds, user) in [(0, ""), (10, "a"), (20, ""), (20, "a")] {
        let mut stream = request("Search", user, &route);
        stream.time = Duration::from_secs(seconds);
        let (mut gate, verdict) = call(&metrics, &mut stream, &search("c"));
        verdicts.push(verdict == Verdict::Continue);
        if verdict == Verdict::Continue {
            answer(&mut gate, &mut stream, 0);
        }
    }

    assert_eq!([true, true, true, false], verdicts[..]);
}

#[test]
fn success_of_a_call_that_proves_nothing_makes_its_user_known_and_not_its_names() {
    let (metrics, route) = (metrics(), limited(r#"{"by":["collection"],"inFlight":9}"#));
    for (method, expected) in
        [("HasCollection", [true, false]), ("DropCollection", [true, false]), ("Search", [true; 2])]
    {
        let mut stream = request(method, method, &route);
        let (mut gate, _) = call(&metrics, &mut stream, &search(method));
        answer(&mut gate, &mut stream, 0);

        let (gate, _) = call(&metrics, &mut stream, &search(method));
        let passage = gate.passage.unwrap();
        let ask = passage.ask(&route.policy.as_ref().unwrap().known, stream.now());
        let known = [Some(ask.tenant) == passage.asked.user, ask.collection.is_some()];
        assert_eq!(expected, known, "{method}");
    }
}

#[test]
fn a_rest_request_over_the_limit_gets_429() {
    let (metrics, route) = (metrics(), limited(r#"{"by":["user"],"requestsPerSecond":0.1}"#));
    let mut verdicts = Vec::new();
    for _ in 0..2 {
        let mut stream = FakeStream {
            request: headers(&[
                (":path", "/v2/vectordb/entities/search"),
                ("content-type", "application/json"),
                ("authorization", "Bearer a:b"),
            ]),
            received: b"{}".to_vec(),
            ..FakeStream::default()
        };
        stream.route = Some(Box::new(route.clone()));
        let mut gate = Gate::new(&metrics);
        assert_eq!(Verdict::Hold, gate.on_request_headers(&mut stream, false));
        verdicts.push(gate.on_request_body(&mut stream, true));
    }

    assert_eq!(Verdict::Continue, verdicts[0]);
    let Verdict::Reply(LocalReply::Json { retry_after, .. }) = &verdicts[1] else { panic!() };
    assert_eq!(Some(10), *retry_after);
}
