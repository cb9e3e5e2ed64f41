use super::*;
use crate::wire::fuzz::fuzz;

/// Any order of hooks, with any pieces and resets at any moment, ends with nothing in flight and nothing waiting.
#[test]
fn fuzz_the_gate() {
    let settings = settings();
    let route = route(
        r#"{SCOPE,"limits":[{"by":["user"],"inFlight":3},{"by":["database","collection"],"rowsPerSecond":100}],
           "admission":{"scope":"fuzz","reads":2,"writes":1,"waitMs":3600000,"queuedBytes":20000}}"#,
    );
    let mut open: Vec<(Gate<'_>, FakeStream)> = Vec::new();
    let mut run = 0;
    fuzz("the gate", 50_000, |numbers| {
        run += 1;
        let mut random = |below| numbers.below(below);
        if open.len() < 12 {
            let method = ["Search", "Insert", "Query", "Flush", "Connect"][random(5)];
            let mut stream = request(method, ["a", "b", "c"][random(3)], &route);
            let mut gate = Gate::new(&settings);
            gate.on_request_headers(&mut stream, random(9) == 0);
            open.push((gate, stream));
        }
        let place = random(open.len());
        let (gate, stream) = &mut open[place];
        stream.time = Duration::from_millis(run);
        match random(7) {
            0 | 1 => {
                let mut body = search(["x", "y"][random(2)]);
                let damage = random(body.len());
                body[damage] ^= (random(4) == 0) as u8 * 0xff;
                body.truncate(1 + random(body.len()));
                (stream.received, stream.held) = (body.clone(), body);
                stream.received.truncate(random(20));
                stream.piece = Some(1 + random(9));
                gate.on_request_body(stream, random(2) == 0);
            }
            2 => {
                gate.on_request_trailers(stream);
            }
            3 => {
                gate.on_wake(stream);
            }
            4 => {
                let status = ["0", "16", "14"][random(3)];
                stream.response = headers(&[(":status", "200"), ("grpc-status", status)]);
                gate.on_response_headers(stream, random(2) == 0);
            }
            5 => {
                stream.received = framed(&delimited(1, &varint(3, random(2) as u32)));
                gate.on_response_body(stream);
            }
            _ => {
                let (mut gate, mut stream) = open.swap_remove(place);
                if random(2) == 0 {
                    gate.on_stream_complete(&mut stream);
                    assert!(stream.gauges.values().all(|count| *count == 0));
                }
            }
        }
    });

    drop(open);

    // Everything is free again: as many calls as there are places pass, once no place is kept free for others.
    let mut open = Vec::new();
    for (seconds, method) in [(0, "Search"), (11, "Search"), (11, "Insert")] {
        let mut stream = request(method, "p", &route);
        stream.time = Duration::from_secs((1 << 30) + seconds);
        let (gate, verdict) = call(&settings, &mut stream, &search("z"));
        assert_eq!(Verdict::Continue, verdict);
        open.push(gate);
    }
    let mut stream = request("Search", "r", &route);
    assert_eq!(Verdict::Hold, call(&settings, &mut stream, &search("z")).1);
}
