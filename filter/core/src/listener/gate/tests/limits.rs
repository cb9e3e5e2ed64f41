//! Limits of users, databases and collections.

use super::*;

#[test]
fn a_user_over_its_limit_is_refused_and_another_is_not() {
    let (settings, route) =
        (settings(), limited(r#"{"by":["user"],"requestsPerSecond":1,"burstMs":0}"#));
    let mut first = request("Search", "a", &route);
    let (mut gate, verdict) = call(&settings, &mut first, &search("c"));
    assert_eq!(Verdict::Continue, verdict);
    answer(&mut gate, &mut first, 0);

    let mut second = request("Search", "a", &route);
    let (_, verdict) = call(&settings, &mut second, &search("c"));
    assert!(refused(&verdict), "{verdict:?}");
    assert_eq!(Some("requests"), second.refusal);
    assert_eq!("requests", second.counted[0].1);
    let (_, verdict) = call(&settings, &mut request("Search", "b", &route), &search("c"));
    assert_eq!(Verdict::Continue, verdict);

    let mut later = request("Search", "a", &route);
    later.time = Duration::from_millis(1001);
    assert_eq!(Verdict::Continue, call(&settings, &mut later, &search("c")).1);
}

#[test]
fn a_limit_by_collection_counts_each_collection_of_each_database() {
    let (settings, route) = (settings(), limited(r#"{"by":["collection"],"inFlight":1}"#));
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
        let (gate, verdict) = call(&settings, &mut stream, &search(collection));

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
        let (settings, route) = (settings(), limited(limit));
        for (message, is_readable) in [(&readable, true), (&compressed, false), (&malformed, false)]
        {
            let mut stream = request("Search", "u", &route);
            let (_, verdict) = call(&settings, &mut stream, message);
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
        let (settings, route) = (settings(), limited(limit));
        for (collection, unlimited) in ["a", "b"].into_iter().zip(names) {
            let mut gates = Vec::new();
            let mut passes = || {
                let mut stream = request("Search", "u", &route);
                let (gate, verdict) = call(&settings, &mut stream, &search(collection));
                gates.push(gate);
                verdict == Verdict::Continue
            };
            assert_eq!([true, unlimited], [passes(), passes()], "{limit} {collection}");
        }
    }
}

#[test]
fn a_limit_by_user_may_name_users() {
    let (settings, route) =
        (settings(), limited(r#"{"by":["user"],"inFlight":1,"names":["batch"]}"#));
    let mut open = Vec::new();
    for (user, passes) in [
        ("YmF0Y2g6YQ==", true),  // batch:a
        ("YmF0Y2g6YQ==", false), // again
        ("b3RoZXI6YQ==", true),  // other:a
        ("b3RoZXI6YQ==", true),
    ] {
        let (gate, verdict) = call(&settings, &mut request("Search", user, &route), &search("c"));

        assert_eq!(passes, verdict == Verdict::Continue, "{user}");
        open.push(gate);
    }
}

#[test]
fn rows_and_bytes_are_counted_as_they_arrive() {
    let settings = settings();
    let insert = framed(&[delimited(3, b"c"), delimited(5, &[7; 5000]), varint(7, 500)].concat());
    for limit in [
        r#"{"by":["user"],"rowsPerSecond":100,"burstMs":0}"#,
        r#"{"by":["user"],"bytesPerSecond":1000,"burstMs":0}"#,
    ] {
        let route = limited(limit);
        let mut stream = request("Insert", "u", &route);
        let mut gate = Gate::new(&settings);
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
            let (_, verdict) = call(&settings, &mut next, &framed(&delimited(3, b"c")));
            assert_eq!(passes, verdict == Verdict::Continue, "{limit} {milliseconds}");
        }
    }
}

#[test]
fn a_request_cannot_claim_more_rows_than_it_has_bytes() {
    let (settings, route) =
        (settings(), limited(r#"{"by":["user"],"rowsPerSecond":100,"burstMs":0}"#));
    // Protobuf takes the last value, so a client may claim other numbers as often as it likes.
    let rows = [varint(7, u32::MAX), varint(7, 0)].concat().repeat(20);
    let insert = framed(&[delimited(3, b"c"), delimited(5, &vec![7; 1 << 20]), rows].concat());
    let mut stream = request("Insert", "u", &route);
    let mut gate = Gate::new(&settings);
    gate.on_request_headers(&mut stream, false);
    let (vectors, claims) = insert.split_at(insert.len() - 160);
    for piece in std::iter::once(vectors).chain(claims.chunks(1)) {
        stream.received = piece.to_vec();
        gate.on_request_body(&mut stream, false);
    }

    for (seconds, passes) in [(insert.len() as u64 / 100 - 1, false), (11_000, true)] {
        let mut next = request("Insert", "u", &route);
        next.time = Duration::from_secs(seconds);
        let (_, verdict) = call(&settings, &mut next, &framed(&delimited(3, b"c")));
        assert_eq!(passes, verdict == Verdict::Continue, "{seconds}");
    }
}

#[test]
fn rows_that_milvus_does_not_write_are_given_back() {
    let settings = settings();
    let insert = framed(&[delimited(3, b"c"), delimited(5, &[7; 5000]), varint(7, 500)].concat());
    for (code, passes) in [(0, false), (1100, true)] {
        let route = limited(r#"{"by":["user"],"rowsPerSecond":100,"burstMs":0}"#);
        let mut stream = request("Insert", "u", &route);
        let (mut gate, _) = call(&settings, &mut stream, &insert);
        answer(&mut gate, &mut stream, code);

        let (_, verdict) = call(&settings, &mut request("Insert", "u", &route), &insert);
        assert_eq!(passes, verdict == Verdict::Continue, "{code}");
    }
}

#[test]
fn a_large_request_is_decided_about_before_it_has_arrived() {
    let (settings, route) =
        (settings(), limited(r#"{"by":["user"],"rowsPerSecond":100,"burstMs":0}"#));
    let insert =
        framed(&[delimited(3, b"c"), delimited(5, &vec![7; 4 << 20]), varint(7, 500)].concat());
    let mut stream = request("Insert", "u", &route);
    let mut gate = Gate::new(&settings);
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
    assert!(refused(&call(&settings, &mut next, &search("c")).1));
}
