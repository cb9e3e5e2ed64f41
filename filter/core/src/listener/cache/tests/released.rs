//! Reads that the cache has held and lets go, on a route that has an admission too.

use super::*;

/// A search for which the filter has made a call of its own.
fn search_after_own_call(
    listener: &mut Listener,
    pool: &str,
    scope: &str,
) -> (Verdict, FakeStream) {
    let mut stream = request(pool, "Search");
    let admission = format!(
        r#"{{"policy":{{"admission":{{"scope":"{scope}","reads":1,"writes":1,"waitMs":3600000,"queuedBytes":10000}}}}}}"#
    );
    let with_admission = RouteConfig::parse(admission.as_bytes()).unwrap();
    let route = stream.route.as_mut().unwrap().downcast_mut::<RouteConfig>().unwrap();
    route.policy = with_admission.policy;
    let verdict = send(listener, &mut stream, &question());
    assert!(!stream.own_calls.is_empty());
    (verdict, stream)
}

/// A request that has not ended would count as 1 MiB, and the queue would be full.
#[test]
fn a_read_that_waits_after_a_call_of_the_filters_own_counts_with_its_own_bytes() {
    let (pool, settings) = ("test/visit/released", settings());
    let _in_use = registry::pool(pool);
    let mut listeners = [Listener::new(&settings), Listener::new(&settings)];
    let [first, second] = &mut listeners;

    let (runs, mut running) = search_after_own_call(first, pool, pool);
    let (waits, mut waiting) = search_after_own_call(second, pool, pool);

    assert_eq!((Verdict::Continue, Verdict::Hold), (runs, waits));
    first.on_stream_complete(&mut running);
    assert_eq!(Verdict::Continue, second.on_wake(&mut waiting));
}
