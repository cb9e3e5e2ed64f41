//! Reads of a collection whose questions seldom repeat.

use super::*;

/// Searches for a vector at a time in ms. Returns the header of the answer and what was sent of the request; None: the
/// cache has answered.
fn search_for(pool: &str, vector: u64, milliseconds: u64) -> (Option<String>, FakeStream) {
    let (settings, vector) = (settings(), delimited(4, &vector.to_le_bytes()));
    let question = framed(&[&question()[5..], &vector].concat());
    let (mut listener, mut stream) = (Listener::new(&settings), request(pool, "Search"));
    stream.time = Duration::from_millis(milliseconds);
    let did = match send(&mut listener, &mut stream, &question) {
        Verdict::Continue => {
            stream.held.append(&mut stream.received);
            let sent = std::mem::take(&mut stream.held);
            answer(&mut listener, &mut stream, &framed(SUCCESS), 3);
            stream.received = sent;
            stream
                .response_header("kiteway-cache")
                .map(|value| String::from_utf8_lossy(value).into())
        }
        Verdict::Reply(LocalReply::Stored { header: (_, value), .. }) => Some(value),
        other => panic!("{other:?}"),
    };
    listener.on_stream_complete(&mut stream);
    (did, stream)
}

/// Asks 64 questions that are not repeated, from 1,100 ms on.
fn ask_new_questions(pool: &str) {
    search_for(pool, 0, 0);
    search_for(pool, 0, 1100);
    for vector in 1..64 {
        assert_eq!(Some("miss"), search_for(pool, vector, 1200).0.as_deref(), "{vector}");
    }
}

#[test]
fn a_new_question_is_sent_unchanged_and_without_a_trace_where_questions_seldom_repeat() {
    let pool = "test/visit/new";
    let _in_use = registry::pool(pool);
    ask_new_questions(pool);

    let (did, stream) = search_for(pool, 100, 1300);

    assert_eq!(None, did);
    assert!(stream.notes.is_empty() && stream.own_calls.is_empty());
    let vector = delimited(4, &100_u64.to_le_bytes());
    assert_eq!(framed(&[&question()[5..], &vector].concat()), stream.received);
    assert_eq!(Some("miss"), search_for(pool, 100, 1310).0.as_deref(), "the second time");
    let did = search_for(pool, 100, 1320).0;
    assert!(did.is_some_and(|did| did.starts_with("hit")), "the third time");
}

#[test]
fn it_makes_no_difference_how_the_request_comes() {
    let pool = "test/visit/new-in-pieces";
    let _in_use = registry::pool(pool);
    ask_new_questions(pool);
    let settings = settings();
    let (mut listener, mut stream) = (Listener::new(&settings), request(pool, "Search"));
    stream.time = Duration::from_millis(1300);
    let question = framed(&[&question()[5..], &delimited(4, b"abcdefgh")].concat());
    let (start, rest) = question.split_at(7);
    assert_eq!(Verdict::Hold, listener.on_request_headers(&mut stream, false));
    stream.received = start.to_vec();
    assert_eq!(Verdict::Hold, listener.on_request_body(&mut stream, false));
    stream.held = start.to_vec();
    stream.received = rest.to_vec();

    assert_eq!(Verdict::Continue, listener.on_request_body(&mut stream, true));
    assert!(stream.notes.is_empty());
}

#[test]
fn the_reads_that_were_sent_unchanged_are_counted_with_the_next_that_is_not() {
    let pool = "test/visit/new-counted";
    let (in_use, _counted) = (registry::pool(pool), PoolCalls::named(pool));
    ask_new_questions(pool);
    let before = counted(pool);
    for vector in 100..110 {
        assert_eq!(None, search_for(pool, vector, 1300).0);
    }
    assert_eq!(before, counted(pool));

    assert_eq!(Some("miss"), search_for(pool, 105, 1310).0.as_deref());

    let all = |counts: &[(String, [u64; 5])]| {
        let sum = |place: usize| counts.iter().map(|(_, each)| each[place]).sum::<u64>();
        [sum(3), sum(4)]
    };
    let ([misses, bypasses], [more, passed]) = (all(&before), all(&counted(pool)));
    assert_eq!([misses + 1, bypasses + 10], [more, passed]);
    let report = in_use.report(stream_time(1310));
    assert!(report.bypass.contains(&(crate::cache::reason::Reason::NewQuestion, 10)));
}

/// A search for a vector whose headers are sent at once. Returns whether they are.
fn is_sent_at_once(pool: &str, vector: u64, pieces: usize) -> bool {
    let (settings, vector) = (settings(), delimited(4, &vector.to_le_bytes()));
    let question = framed(&[&question()[5..], &vector].concat());
    let (mut listener, mut stream) = (Listener::new(&settings), request(pool, "Search"));
    stream.time = Duration::from_millis(1300);
    let is_sent = listener.on_request_headers(&mut stream, false) == Verdict::Continue;
    for (place, piece) in question.chunks(question.len().div_ceil(pieces)).enumerate() {
        stream.received = piece.to_vec();
        let verdict = listener.on_request_body(&mut stream, place + 1 == pieces);
        assert!(!is_sent || verdict == Verdict::Continue);
        stream.held.extend_from_slice(piece);
    }
    assert!(!is_sent || stream.notes.is_empty());
    is_sent
}

#[test]
fn after_many_new_questions_they_are_sent_while_they_arrive_and_looked_at_all_the_same() {
    let pool = "test/visit/new-at-once";
    let _in_use = registry::pool(pool);
    ask_new_questions(pool);
    for vector in 100..400 {
        search_for(pool, vector, 1300);
    }
    assert!(is_sent_at_once(pool, 1000, 1));
    assert!(is_sent_at_once(pool, 1001, 1));

    assert!(is_sent_at_once(pool, 1000, 1), "the second time");

    assert!(!is_sent_at_once(pool, 1000, 1), "the third time");
    for vector in 2000..2300 {
        search_for(pool, vector, 1300);
    }
    assert!(is_sent_at_once(pool, 3000, 2), "in pieces");
    assert!(!is_sent_at_once(pool, 3001, 1), "the next one");
}

fn stream_time(milliseconds: u64) -> crate::host::clock::BootTime {
    crate::host::clock::BootTime::from_nanos(milliseconds * 1_000_000)
}
