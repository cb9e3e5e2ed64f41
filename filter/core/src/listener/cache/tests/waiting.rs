//! What a read waits for, and what it does not wait for.

use super::*;
use crate::hedge;
use crate::host::request::Request;

/// A search at a time in ms, whose own calls are not answered.
fn begin<'settings>(
    pool: &str,
    milliseconds: u64,
    settings: &'settings Settings,
) -> (Listener<'settings>, FakeStream, Verdict) {
    let (mut listener, mut stream) = (Listener::new(settings), request(pool, "Search"));
    stream.time = Duration::from_millis(milliseconds);
    assert_eq!(Verdict::Hold, listener.on_request_headers(&mut stream, false));
    stream.received = question();
    let verdict = listener.on_request_body(&mut stream, true);
    (listener, stream, verdict)
}

#[test]
fn a_read_is_sent_while_the_filter_asks_for_a_timestamp() {
    let (pool, settings) = ("test/visit/rides", settings());
    let _in_use = registry::pool(pool);
    search(pool, 0);
    search(pool, 1100);

    // The timestamp is 5.4 s old, and so is the answer: the read is sent as it is.
    let (mut listener, mut stream, verdict) = begin(pool, 6500, &settings);
    assert_eq!(Verdict::Hold, verdict, "for the level");
    for id in 0..2 {
        let answer = own_answer(&stream.own_calls[id].clone());
        let verdict = listener.on_own_call_done(&mut stream, OwnCallId(id as u64), Some(&answer));
        assert_eq!([Verdict::Hold, Verdict::Continue][id], verdict);
    }
    listener.on_stream_complete(&mut stream);
    let (mut listener, mut stream, verdict) = begin(pool, 6800, &settings);

    assert_eq!(Verdict::Continue, verdict);
    assert_eq!(1, stream.own_calls.len());
    let timestamp = own_answer(&stream.own_calls[0].clone());
    assert_eq!(
        Verdict::Hold,
        listener.on_own_call_done(&mut stream, OwnCallId(0), Some(&timestamp)),
        "nothing is held any more"
    );
    listener.on_stream_complete(&mut stream);
    // That timestamp is the one that a fill asks for a second later.
    assert_eq!("miss", search(pool, 7850).0);
    assert_eq!("hit; age=1.1", search(pool, 7900).0);
}

#[test]
fn once_milvus_does_not_answer_the_filters_calls_no_read_waits_for_them() {
    let (pool, settings) = ("test/visit/not-prompt", settings());
    let _in_use = registry::pool(pool);
    search(pool, 0);

    let (mut listener, mut stream, verdict) = begin(pool, 1100, &settings);
    assert_eq!(Verdict::Hold, verdict);
    stream.time = Duration::from_millis(1200);
    for id in 0..stream.own_calls.len() {
        listener.on_own_call_done(&mut stream, OwnCallId(id as u64), None);
    }
    listener.on_stream_complete(&mut stream);

    let (_listener, stream, verdict) = begin(pool, 2300, &settings);
    assert_eq!((Verdict::Continue, 2), (verdict, stream.own_calls.len()));
}

#[test]
fn the_answer_to_the_clients_own_question_is_passed_on_and_not_stored() {
    let (pool, settings) = ("test/visit/overtaken", settings());
    let _in_use = registry::pool(pool);
    search(pool, 0);
    let (mut listener, mut stream) = (Listener::new(&settings), request(pool, "Search"));
    stream.time = Duration::from_millis(1100);
    assert_eq!(Verdict::Continue, send(&mut listener, &mut stream, &question()));
    assert!(stream.request_header("x-envoy-hedge-on-per-try-timeout").is_some());

    stream.response = headers(&[(":status", "200"), ("content-type", "application/grpc")]);
    hedge::mark(&mut stream);
    assert_eq!(Action::Continue, listener.on_response_headers(&mut stream, false));
    assert_eq!(Some(&b"miss; late"[..]), stream.response_header("kiteway-cache"));
    assert!(!hedge::take_mark(&mut stream), "no client sees it");
    stream.received = framed(SUCCESS);
    listener.on_response_body(&mut stream, false);
    stream.trailers = headers(&[("grpc-status", "0")]);
    listener.on_response_trailers(&mut stream);
    listener.on_stream_complete(&mut stream);

    assert_eq!("miss", search(pool, 1150).0);
    assert!(search(pool, 1160).0.starts_with("hit"));
}

#[test]
fn a_read_that_its_client_gives_up_before_it_is_decided_is_a_call_without_an_answer() {
    let pool = "test/visit/given-up";
    let (_in_use, _counted) = (registry::pool(pool), PoolCalls::named(pool));
    search(pool, 0);
    let settings = settings();
    let (mut listener, mut stream) = (Listener::new(&settings), request(pool, "Search"));
    stream.time = Duration::from_millis(1100);
    assert_eq!(Verdict::Hold, listener.on_request_headers(&mut stream, false));
    stream.received = question();
    assert_eq!(Verdict::Hold, listener.on_request_body(&mut stream, true), "for the level");

    listener.on_stream_complete(&mut stream);

    assert_eq!([("other Search".to_owned(), [1, 0, 0, 0, 1])], counted(pool)[..]);
    assert!(stream.notes.contains(&("collection".to_owned(), "books".to_owned())));
}

#[test]
fn a_fill_is_hedged_no_later_than_the_route_hedges() {
    let (pool, settings) = ("test/visit/hedged", settings());
    let _in_use = registry::pool(pool);
    search(pool, 0);
    for (hedge_after, expected) in [(None, "500"), (Some(20), "20"), (Some(2000), "500")] {
        let (mut listener, mut stream) = (Listener::new(&settings), request(pool, "Search"));
        let route = stream.route.as_mut().unwrap().downcast_mut::<RouteConfig>().unwrap();
        route.cache.as_mut().unwrap().config.hedge_after = hedge_after.map(Duration::from_millis);
        stream.time = Duration::from_millis(1100);
        assert_eq!(Verdict::Continue, send(&mut listener, &mut stream, &question()));

        let after = stream.request_header("x-envoy-upstream-rq-per-try-timeout-ms");
        assert_eq!(Some(expected.as_bytes()), after);
    }
}
