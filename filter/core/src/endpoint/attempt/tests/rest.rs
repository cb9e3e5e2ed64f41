//! Answers by REST.

use super::*;

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

const MARK: &str = "kiteway-in-band";

#[test]
fn a_rest_write_that_finds_the_proxy_starting_is_marked_and_not_changed() {
    for path in
        ["/v2/vectordb/entities/insert", "/v2/vectordb/entities/upsert", "/v1/vector/delete?x=1"]
    {
        let body = br#"{"code":1,"message":"service not ready[proxy=7]: Initializing"}"#;
        for cut in 1..body.len() - 1 {
            let mut exchange = rest(path);
            assert_eq!(Action::Hold, exchange.headers(&JSON, false));
            assert_eq!(Action::Hold, exchange.body(&body[..cut], false));
            assert_eq!(Action::Continue, exchange.body(&body[cut..], true));
            assert_eq!(Some(&b"starting"[..]), exchange.stream.response_header(MARK));
            assert_eq!(Some(&b"200"[..]), exchange.stream.response_header(":status"));
        }
    }
}

#[test]
fn a_rest_write_that_may_have_begun_is_not_marked() {
    for body in [
        &br#"{"code":0,"data":{"insertCount":1}}"#[..],
        br#"{"code":1,"message":"service not ready[proxy=7]: Abnormal"}"#,
        br#"{"code":2,"message":"service not ready[proxy=7]: Initializing"}"#,
        br#"{"code":1,"message":"b: service not ready[proxy=7]: Initializing"}"#,
        br#"{"code":1,"message":"service not ready[rootcoord=7]: Initializing"}"#,
        br#"{"code":1,"message":"field \"service not ready[proxy=7]: Initializing\""}"#,
        br#"{"code":100,"message":"service not ready[proxy=7]: Initializing"}"#,
    ] {
        let mut exchange = rest("/v2/vectordb/entities/insert");
        exchange.headers(&JSON, false);
        assert_eq!(Action::Continue, exchange.body(body, true));
        assert_eq!(None, exchange.stream.response_header(MARK));
        assert_eq!(Some(&b"200"[..]), exchange.stream.response_header(":status"));
    }
}

#[test]
fn a_rest_call_of_several_steps_is_neither_held_nor_changed() {
    for path in ["/v2/vectordb/collections/create", "/v2/vectordb/collections/drop", "/other"] {
        let mut exchange = rest(path);
        assert_eq!(Action::Continue, exchange.headers(&JSON, false));
        assert_eq!(Action::Continue, exchange.body(b"{\"code\":1}", true));
        assert_eq!(Some(&b"200"[..]), exchange.stream.response_header(":status"));
    }
}
