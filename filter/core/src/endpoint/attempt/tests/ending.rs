//! The end of an attempt: its time and its status.

use super::*;

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
