//! Calls that wait for their turn.

use super::*;

#[test]
fn a_call_waits_for_the_one_before_it_and_is_woken() {
    let (settings, route) = (settings(), route(ONE_READ));
    let mut first = request("Search", "a", &route);
    let (mut running, verdict) = call(&settings, &mut first, &search("c"));
    assert_eq!(Verdict::Continue, verdict);
    let mut second = request("Search", "a", &route);
    let (mut waiting, verdict) = call(&settings, &mut second, &search("c"));
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
    let (settings, route) = (settings(), route(ONE_READ));
    let _running = call(&settings, &mut request("Search", "a", &route), &search("c"));

    for method in ["Insert", "DescribeCollection", "CreateCollection"] {
        let (_, verdict) = call(&settings, &mut request(method, "a", &route), &search("c"));
        assert_eq!(Verdict::Continue, verdict, "{method}");
    }
}

#[test]
fn a_client_that_gives_up_is_refused_or_forgotten() {
    let (settings, route) = (settings(), route(ONE_READ));
    let mut first = request("Search", "a", &route);
    let (mut running, _) = call(&settings, &mut first, &search("c"));
    let mut late = request("Search", "a", &route);
    late.request.push(("grpc-timeout".to_owned(), "0m".to_owned()));
    let (_, verdict) = call(&settings, &mut late, &search("c"));
    assert!(refused(&verdict));
    assert_eq!(Some("waited"), late.refusal);

    let mut reset = request("Search", "a", &route);
    let (mut gate, verdict) = call(&settings, &mut reset, &search("c"));
    assert_eq!(Verdict::Hold, verdict);
    gate.on_stream_complete(&mut reset);
    drop(gate);
    assert_eq!(vec![0], reset.gauges.values().copied().collect::<Vec<_>>());
    answer(&mut running, &mut first, 0);
    assert_eq!(0, reset.woken.load(Ordering::Relaxed));
    let (_, verdict) = call(&settings, &mut request("Search", "a", &route), &search("c"));
    assert_eq!(Verdict::Continue, verdict);
}

#[test]
fn a_queue_that_is_full_refuses_at_once() {
    let (settings, route) =
        (settings(), route(r#"{"admission":{SCOPE,"reads":1,"waitMs":3600000,"queuedBytes":0}}"#));
    let _running = call(&settings, &mut request("Search", "a", &route), &search("c"));
    let mut stream = request("Search", "a", &route);

    assert!(refused(&call(&settings, &mut stream, &search("c")).1));
    assert_eq!(Some("queue_full"), stream.refusal);
}

#[test]
fn a_waiting_request_that_has_not_ended_counts_as_all_that_envoy_may_buffer_of_it() {
    for (end, waits) in [(true, [true; 3]), (false, [true, true, false])] {
        let (settings, route) = (
            settings(),
            route(r#"{"admission":{SCOPE,"reads":1,"waitMs":3600000,"queuedBytes":2200000}}"#),
        );
        let _running = call(&settings, &mut request("Search", "a", &route), &search("c"));
        let mut open = Vec::new();
        for each in waits {
            let mut stream = request("Search", "a", &route);
            let mut gate = Gate::new(&settings);
            gate.on_request_headers(&mut stream, false);
            stream.received = search("c");

            let verdict = gate.on_request_body(&mut stream, end);
            assert_eq!(each, verdict == Verdict::Hold, "{end} {verdict:?}");
            open.push(gate);
        }
    }
}

/// A request that has not ended would count as 1 MiB, and the queue would be full.
#[test]
fn a_request_that_ends_with_trailers_waits_with_its_own_bytes() {
    let (settings, route) = (settings(), route(&ONE_READ.replace("1000000", "10000")));
    let (_running, verdict) = call(&settings, &mut request("Search", "a", &route), &search("c"));
    assert_eq!(Verdict::Continue, verdict);

    let (mut gate, mut stream) = (Gate::new(&settings), request("Search", "b", &route));
    gate.on_request_headers(&mut stream, false);
    stream.received = search("c")[..5].to_vec();
    assert_eq!(Verdict::Hold, gate.on_request_body(&mut stream, false));

    assert_eq!(Verdict::Hold, gate.on_request_trailers(&mut stream));
}
