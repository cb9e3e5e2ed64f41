use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::host::fake::{grpc_request, headers, FakeStream};
use crate::host::response::LocalReply;
use crate::milvus::milvus_status::code;
use crate::milvus::rpc::MilvusStatusLocation;
use crate::wire::encode::{delimited, framed, varint};

mod known_names;
mod limits;
mod moments;
mod queue;
mod rest;

fn settings() -> Settings {
    Settings::of_test()
}

/// A route with its own policy; `policy` is JSON without its scope.
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
fn call<'a>(settings: &'a Settings, stream: &mut FakeStream, body: &[u8]) -> (Gate<'a>, Verdict) {
    let mut gate = Gate::new(settings);
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
        let settings = settings();
        let mut stream = grpc_request("Search");
        stream.route = route.map(|route| Box::new(route) as _);
        let mut gate = Gate::new(&settings);

        assert_eq!(Verdict::Continue, gate.on_request_headers(&mut stream, false));
        assert_eq!(Verdict::Continue, gate.on_request_body(&mut stream, true));
        assert!(gate.passage.is_none());
    }
}

#[test]
fn calls_of_connections_and_health_always_pass() {
    let (settings, route) = (settings(), limited(r#"{"by":["user"],"requestsPerSecond":1e-9}"#));
    for method in ["Connect", "GetVersion", "CheckHealth", "NoSuchCall", "DumpMessages"] {
        for _ in 0..3 {
            let (_, verdict) = call(&settings, &mut request(method, "a", &route), &search("c"));
            assert_eq!(Verdict::Continue, verdict, "{method}");
        }
    }
}

#[test]
fn the_last_part_of_a_body_may_be_among_what_is_held() {
    let (settings, route) = (settings(), limited(r#"{"by":["collection"],"inFlight":1}"#));
    let body = search("books");
    for cut in 1..body.len() {
        let mut stream = request("Search", "u", &route);
        let mut gate = Gate::new(&settings);
        gate.on_request_headers(&mut stream, false);
        stream.received = body[..cut].to_vec();
        assert_eq!(Verdict::Hold, gate.on_request_body(&mut stream, false));
        (stream.held, stream.received, stream.piece) = (body.clone(), Vec::new(), Some(3));
        assert_eq!(Verdict::Continue, gate.on_request_body(&mut stream, true), "{cut}");
        let (_, verdict) = call(&settings, &mut request("Search", "u", &route), &body);
        assert!(refused(&verdict), "{cut}");
    }
}
