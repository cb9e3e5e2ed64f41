use super::*;
use crate::calls::tally::Tally;

/// A pool whose calls are counted under `name`.
fn counting(api: Api, name: &str) -> Pool {
    Pool { calls: Some(PoolCalls::named(name)), ..new_pool(api, false) }
}

/// What was counted of a pool by collection: the names, the rpc and the calls.
fn counted(pool: &Pool) -> Vec<String> {
    let mut lines = Vec::new();
    pool.calls.as_ref().unwrap().each(|table| {
        for (name, by_rpc) in table.collections.iter() {
            let name = String::from_utf8_lossy(name).replace('\0', "/");
            lines.extend(by_rpc.iter().map(|(rpc, tally)| line(&format!("{name} {rpc}"), tally)));
        }
        let groups = [("none", &table.without_collection), ("other", &table.other_collections)];
        for (group, by_rpc) in groups {
            lines.extend(by_rpc.iter().map(|(rpc, tally)| line(&format!("{group} {rpc}"), tally)));
        }
        lines.extend(
            table.users.iter().map(|(user, tally)| {
                line(&format!("user {}", String::from_utf8_lossy(user)), tally)
            }),
        );
        lines.extend(table.endpoints.iter().map(|(endpoint, tally)| {
            line(&format!("endpoint {}", String::from_utf8_lossy(endpoint)), tally)
        }));
    });
    lines
}

fn line(name: &str, tally: &Tally) -> String {
    let errors: Vec<_> = tally.errors().map(|(code, count)| format!(" {code}={count}")).collect();
    format!("{name}: {}{}", tally.calls, errors.concat())
}

/// A call with credentials, up to the response's headers.
fn call<'pool>(pool: &'pool Pool, method: &str, request: &[u8]) -> (Attempt<'pool>, FakeStream) {
    let mut stream = grpc_request(method);
    stream.request.push(("authorization".to_owned(), "cm9vdDpNaWx2dXM=".to_owned()));
    stream.endpoint = Some("10.0.0.1:19530".to_owned());
    let mut attempt = Attempt::new(pool);
    attempt.on_request_headers(&mut stream);
    stream.received = framed(request);
    attempt.on_request_body(&mut stream, true);
    attempt.on_response_headers(&mut stream, false);
    (attempt, stream)
}

fn answer(attempt: &mut Attempt<'_>, stream: &mut FakeStream, response: &[u8], status: &str) {
    stream.received = framed(response);
    attempt.on_response_body(stream, false);
    stream.trailers = vec![("grpc-status".to_owned(), status.to_owned())];
    attempt.on_response_trailers(stream);
}

#[test]
fn a_call_is_counted_by_collection_by_user_and_by_endpoint() {
    let pool = counting(Api::Grpc, "attempt/counted");
    let request = [delimited(2, b"birds"), delimited(3, b"books")].concat();
    let found = [delimited(1, &[]), delimited(2, &delimited(6, &[10, 3]))].concat();

    let (mut attempt, mut stream) = call(&pool, "Search", &request);
    answer(&mut attempt, &mut stream, &found, "0");
    drop(attempt);
    let refused = delimited(1, &varint(3, 100));
    let (mut attempt, mut stream) = call(&pool, "Search", &request);
    answer(&mut attempt, &mut stream, &refused, "0");
    drop(attempt);

    assert_eq!(
        ["birds/books Search: 2 100=1", "user root: 2 100=1", "endpoint 10.0.0.1:19530: 2 100=1",],
        counted(&pool)[..]
    );
    pool.calls.as_ref().unwrap().each(|table| {
        let (_, tally) = table.users.iter().next().unwrap();
        let size = tally.size;
        let bytes = |message: &[u8]| message.len() as u64 + 5;
        assert_eq!(
            (13, 2 * bytes(&request), bytes(&found) + bytes(&refused)),
            (size.rows, size.request_bytes, size.response_bytes)
        );
    });
}

#[test]
fn an_attempt_without_an_answer_is_counted_when_it_ends() {
    let pool = counting(Api::Grpc, "attempt/unanswered");
    drop(call(&pool, "Query", &delimited(3, b"books")));

    assert_eq!(["other Query: 1 none=1", "endpoint 10.0.0.1:19530: 1 none=1"], counted(&pool)[..]);
}

#[test]
fn success_of_a_call_that_does_not_need_a_collection_vouches_for_none() {
    let pool = counting(Api::Grpc, "attempt/vouching");
    for (method, number) in [
        ("HasCollection", 3),
        ("DropCollection", 3),
        ("DropAlias", 3),
        ("ShowCollections", 5),
        ("DescribeCollection", 3),
    ] {
        let (mut attempt, mut stream) = call(&pool, method, &delimited(number, method.as_bytes()));
        answer(&mut attempt, &mut stream, &[], "0");
    }

    let known: Vec<_> =
        counted(&pool).into_iter().filter(|line| line.starts_with("default/")).collect();
    assert_eq!(["default/DescribeCollection DescribeCollection: 1"], known[..]);
}

#[test]
fn an_answer_of_not_ready_and_the_status_of_grpc_are_errors() {
    let pool = counting(Api::Grpc, "attempt/errors");
    let (mut attempt, mut stream) = call(&pool, "Search", &delimited(3, b"books"));
    answer(&mut attempt, &mut stream, &NOT_READY[5..], "0");
    drop(attempt);
    let (mut attempt, mut stream) = call(&pool, "Search", &delimited(3, b"books"));
    answer(&mut attempt, &mut stream, &[], "16");
    drop(attempt);

    assert_eq!("other Search: 2 1=1 UNAUTHENTICATED=1", counted(&pool)[0]);
}

#[test]
fn calls_that_are_not_in_the_catalogue_are_counted_too() {
    let pool = counting(Api::Grpc, "attempt/other");
    let (mut attempt, mut stream) = call(&pool, "NoSuchCall", &delimited(3, b"books"));
    answer(&mut attempt, &mut stream, &[], "12");

    assert_eq!("none other: 1 UNIMPLEMENTED=1", counted(&pool)[0]);
}

#[test]
fn a_rest_call_is_counted_by_its_path_and_the_names_in_its_body() {
    let pool = counting(Api::Rest, "attempt/rest");
    for (code, authorization) in [("0", "Bearer root:Milvus"), ("1800", "Bearer nobody:x")] {
        let mut stream = grpc_request("");
        stream.request =
            headers(&[(":path", "/v2/vectordb/entities/search"), ("authorization", authorization)]);
        let mut attempt = Attempt::new(&pool);
        attempt.on_request_headers(&mut stream);
        stream.received = br#"{"collectionName":"books","data":[[0.1]]}"#.to_vec();
        attempt.on_request_body(&mut stream, true);
        stream.response = headers(&[(":status", "200")]);
        attempt.on_response_headers(&mut stream, false);
        stream.received = format!(r#"{{"code":{code},"data":[]}}"#).into_bytes();
        attempt.on_response_body(&mut stream, true);
    }

    assert_eq!(["default/books Search: 2 1800=1", "user root: 1"], counted(&pool)[..]);
}

#[test]
fn the_database_of_a_rest_call_may_be_in_a_header() {
    let pool = counting(Api::Rest, "attempt/rest_header");
    for body in [r#"{"collectionName":"books"}"#, r#"{"dbName":"zoo","collectionName":"books"}"#] {
        let mut stream = FakeStream {
            request: headers(&[
                (":path", "/v2/vectordb/entities/search"),
                ("db-name", "birds"),
                ("dbname", "fish"),
            ]),
            ..FakeStream::default()
        };
        let mut attempt = Attempt::new(&pool);
        attempt.on_request_headers(&mut stream);
        stream.received = body.as_bytes().to_vec();
        attempt.on_request_body(&mut stream, true);
        stream.response = headers(&[(":status", "200")]);
        attempt.on_response_headers(&mut stream, false);
        stream.received = br#"{"code":0,"data":[]}"#.to_vec();
        attempt.on_response_body(&mut stream, true);
    }

    let mut counted = counted(&pool);
    counted.retain(|line| !line.starts_with("user"));
    counted.sort();
    assert_eq!(["birds/books Search: 1", "zoo/books Search: 1"], counted[..]);
}

#[test]
fn what_milvus_says_is_gone_leaves_the_counts() {
    let later = Duration::from_secs(601);
    for (method, response) in [
        ("DropCollection", Vec::new()),
        ("RenameCollection", Vec::new()),
        ("Search", delimited(1, &varint(3, 100))),
    ] {
        let name = format!("attempt/gone/{method}");
        let pool = counting(Api::Grpc, &name);
        let request = delimited(3, b"books");
        let (mut attempt, mut stream) = call(&pool, "Search", &request);
        answer(&mut attempt, &mut stream, &delimited(1, &[]), "0");
        let calls = pool.calls.as_ref().unwrap();
        calls.retire(Instant::now() + later);
        assert!(counted(&pool).iter().any(|line| line.starts_with("default/books")), "{method}");

        let (mut attempt, mut stream) = call(&pool, method, &request);
        answer(&mut attempt, &mut stream, &response, "0");

        calls.retire(Instant::now());
        assert!(counted(&pool).iter().any(|line| line.starts_with("default/books")), "{method}");
        calls.retire(Instant::now() + later);
        assert!(counted(&pool).iter().all(|line| !line.starts_with("default/books")), "{method}");
    }
}

#[test]
fn a_call_of_the_filter_itself_is_an_attempt_and_nobodys_call() {
    let pool = counting(Api::Grpc, "attempt/own");
    let mut stream = grpc_request("DescribeCollection");
    stream.request.push(("authorization".to_owned(), "cm9vdDpNaWx2dXM=".to_owned()));
    stream.request.push(("x-envoy-internal".to_owned(), "true".to_owned()));
    let mut attempt = Attempt::new(&pool);
    attempt.on_request_headers(&mut stream);
    stream.received = framed(&delimited(3, b"books"));
    attempt.on_request_body(&mut stream, true);
    attempt.on_response_headers(&mut stream, false);
    answer(&mut attempt, &mut stream, &delimited(1, &[]), "0");

    assert!(counted(&pool).is_empty());
    // The attempt, and its status.
    assert_eq!(2, stream.counted.len());
    assert!(stream.notes.is_empty());
}
