//! REST requests.

use super::*;

#[test]
fn a_content_type_that_is_not_grpc_is_read_as_rest() {
    // Envoy's routes for gRPC take `application/grpc` and `application/grpc+...` only.
    let (settings, route) = (settings(), limited(r#"{"by":["collection"],"inFlight":1}"#));
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
        let (gate, verdict) = call(&settings, &mut stream, br#"{"collectionName":"c"}"#);

        assert_eq!(passes, verdict == Verdict::Continue, "{content_type}");
        open.push(gate);
    }
    for content_type in ["application/grpc", "application/grpc+proto"] {
        let mut stream = request("Search", "u", &route);
        stream.request[1].1 = content_type.to_owned();

        assert!(refused(&call(&settings, &mut stream, &search("c")).1), "{content_type}");
    }
}

#[test]
fn an_upgrade_is_decided_about_by_its_headers() {
    let (settings, route) =
        (settings(), limited(r#"{"by":["user"],"requestsPerSecond":1e-3,"burstMs":0}"#));
    let upgrade = || {
        let mut stream = FakeStream {
            request: headers(&[(":method", "GET"), (":path", "/socket"), ("upgrade", "websocket")]),
            route: Some(Box::new(route.clone())),
            ..FakeStream::default()
        };
        Gate::new(&settings).on_request_headers(&mut stream, false)
    };

    assert_eq!(Verdict::Continue, upgrade());
    assert!(matches!(upgrade(), Verdict::Reply(LocalReply::Json { status: 429, .. })));
}

#[test]
fn only_get_can_upgrade() {
    let (settings, route) = (settings(), limited(r#"{"by":["collection"],"inFlight":1}"#));
    let mut stream = FakeStream {
        request: headers(&[
            (":method", "POST"),
            (":path", "/v2/vectordb/entities/search"),
            ("upgrade", "websocket"),
        ]),
        route: Some(Box::new(route.clone())),
        ..FakeStream::default()
    };
    let (_open, verdict) = call(&settings, &mut stream, br#"{"collectionName":"c"}"#);
    assert_eq!(Verdict::Continue, verdict);

    let mut next = request("Search", "u", &route);
    assert!(refused(&call(&settings, &mut next, &search("c")).1));
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
    let settings = settings();
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
        let _open = call(&settings, grpc, &search("c"));
        let mut stream = rest(json, &route);
        let mut gate = Gate::new(&settings);
        assert_eq!(Verdict::Hold, gate.on_request_headers(&mut stream, false));
        let verdict = gate.on_request_body(&mut stream, true);

        assert_eq!(waits, verdict == Verdict::Hold, "{policy}");
        assert_eq!(!waits, matches!(verdict, Verdict::Reply(LocalReply::Json { .. })), "{policy}");
    }
}

#[test]
fn the_database_of_a_rest_request_is_that_of_the_header_that_milvus_reads() {
    let (settings, route) = (settings(), limited(r#"{"by":["database"],"inFlight":1}"#));
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
        let (gate, verdict) = call(&settings, &mut stream, br#"{"collectionName":"c"}"#);

        assert_eq!(passes, verdict == Verdict::Continue, "{path} {header} {database}");
        open.push(gate);
    }
}

#[test]
fn a_rest_request_over_the_limit_gets_429() {
    let (settings, route) = (settings(), limited(r#"{"by":["user"],"requestsPerSecond":0.1}"#));
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
        let mut gate = Gate::new(&settings);
        assert_eq!(Verdict::Hold, gate.on_request_headers(&mut stream, false));
        verdicts.push(gate.on_request_body(&mut stream, true));
    }

    assert_eq!(Verdict::Continue, verdicts[0]);
    let Verdict::Reply(LocalReply::Json { retry_after, .. }) = &verdicts[1] else { panic!() };
    assert_eq!(Some(10), *retry_after);
}
