//! What a read waits for, and what it does not wait for.

use super::*;

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
