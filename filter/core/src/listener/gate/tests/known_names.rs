//! Users and names that Milvus has answered count for themselves; all others count together.

use super::*;

#[test]
fn who_is_not_authenticated_uses_nothing_up() {
    let (settings, route) =
        (settings(), limited(r#"{"by":["collection"],"requestsPerSecond":1,"burstMs":0}"#));
    for _ in 0..5 {
        let mut stream = request("Search", "stranger", &route);
        let (mut gate, verdict) = call(&settings, &mut stream, &search("c"));
        assert_eq!(Verdict::Continue, verdict);
        stream.response = headers(&[(":status", "200"), ("grpc-status", "16")]);
        gate.on_response_headers(&mut stream, true);
    }
}

#[test]
fn calls_that_are_reset_before_milvus_answers_use_up_nothing_of_known_users() {
    let settings = settings();
    for stranger in ["stranger", ""] {
        let route = limited(r#"{"by":["collection"],"requestsPerSecond":1,"burstMs":0}"#);
        let at = |user: &str, seconds| {
            let mut stream = request("Search", user, &route);
            stream.time = Duration::from_secs(seconds);
            let (mut gate, verdict) = call(&settings, &mut stream, &search("c"));
            if verdict == Verdict::Continue && user == "known" {
                answer(&mut gate, &mut stream, 0);
            }
            verdict == Verdict::Continue
        };
        assert!(at("known", 0));

        assert_eq!([true, false, false], [0; 3].map(|_| at(stranger, 10)), "{stranger:?}");
        assert_eq!([true, false], [0; 2].map(|_| at("known", 10)), "{stranger:?}");
    }
}

#[test]
fn calls_without_credentials_share_a_limit_once_milvus_answers_them() {
    let (settings, route) =
        (settings(), limited(r#"{"by":["collection"],"requestsPerSecond":1,"burstMs":0}"#));
    let mut verdicts = Vec::new();
    for (seconds, user) in [(0, ""), (10, "a"), (20, ""), (20, "a")] {
        let mut stream = request("Search", user, &route);
        stream.time = Duration::from_secs(seconds);
        let (mut gate, verdict) = call(&settings, &mut stream, &search("c"));
        verdicts.push(verdict == Verdict::Continue);
        if verdict == Verdict::Continue {
            answer(&mut gate, &mut stream, 0);
        }
    }

    assert_eq!([true, true, true, false], verdicts[..]);
}

#[test]
fn success_of_a_call_that_proves_nothing_makes_its_user_known_and_not_its_names() {
    let (settings, route) = (settings(), limited(r#"{"by":["collection"],"inFlight":9}"#));
    for (method, expected) in
        [("HasCollection", [true, false]), ("DropCollection", [true, false]), ("Search", [true; 2])]
    {
        let mut stream = request(method, method, &route);
        let (mut gate, _) = call(&settings, &mut stream, &search(method));
        answer(&mut gate, &mut stream, 0);

        let (gate, _) = call(&settings, &mut stream, &search(method));
        let passage = gate.passage.unwrap();
        let ask = passage.ask(&route.policy.as_ref().unwrap().known, stream.now());
        let known = [Some(ask.tenant) == passage.asked.user, ask.collection.is_some()];
        assert_eq!(expected, known, "{method}");
    }
}
