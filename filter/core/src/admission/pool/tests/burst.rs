//! More calls than Milvus can answer, which do not wait for each other's answers.

use super::*;

/// How many calls run at a time.
const PLACES: u64 = 2;
/// How long each runs.
const TOOK: Duration = Duration::from_millis(20);
/// How many are answered in a second.
const CAPACITY: f64 = 100.0;
const BUSY: Terms = Terms { reads: Most::Fixed(PLACES), wait: Duration::from_secs(1), ..TERMS };

/// A call that is over.
struct Over {
    user: &'static str,
    /// The millisecond in which it came.
    at: u64,
    took: u64,
    answered: bool,
}

/// Calls of a user that come at random times, `rate` a second from one millisecond to another.
struct Flow {
    user: &'static str,
    rate: f64,
    from: u64,
    to: u64,
}

/// Runs a pool until all calls of the flows are over.
fn simulate(flows: &[Flow]) -> Vec<Over> {
    let mut world = World::new();
    let began = world.now;
    let mut random = 1_u64;
    let mut chance = || {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut running: Vec<(Instant, &str, u64, Seat)> = Vec::new();
    let mut waiting: Vec<(&str, u64, Place)> = Vec::new();
    let mut over = Vec::new();
    let end = flows.iter().map(|flow| flow.to).max().unwrap();
    for at in 0..end + 2000 {
        world.now = began + Duration::from_millis(at);
        let (done, still) = running.into_iter().partition(|(until, ..)| *until <= world.now);
        running = still;
        for (_, user, came, seat) in Vec::from_iter::<Vec<_>>(done) {
            over.push(Over { user, at: came, took: at - came, answered: true });
            seat.leave(world.now);
        }
        for flow in flows.iter().filter(|flow| (flow.from..flow.to).contains(&at)) {
            // At most two in a millisecond, each with half the probability.
            for _ in 0..2 {
                if chance() >= flow.rate / 2000.0 {
                    continue;
                }
                match world.enter(ask(flow.user, 10), BUSY) {
                    Ok(Turn::Now(seat)) => running.push((world.now + TOOK, flow.user, at, seat)),
                    Ok(Turn::Later(place)) => waiting.push((flow.user, at, place)),
                    Err(denied) => panic!("{denied:?}"),
                }
            }
        }
        world.pool.ring(world.now);
        for (user, came, place) in std::mem::take(&mut waiting) {
            match place.look(world.now) {
                Waited::Still(place) => waiting.push((user, came, place)),
                Waited::Until(seat, _) => running.push((world.now + TOOK, user, came, seat)),
                Waited::Denied(_) => {
                    over.push(Over { user, at: came, took: at - came, answered: false });
                }
            }
        }
    }
    assert!(running.is_empty() && waiting.is_empty());
    assert_eq!((0, 0, 0), world.state());
    over
}

/// The milliseconds of the calls of a user that came in a time and were answered, or refused, from short to long.
fn times(over: &[Over], user: &str, came: std::ops::Range<u64>, answered: bool) -> Vec<u64> {
    let calls = over.iter().filter(|each| each.user == user && came.contains(&each.at));
    let mut times: Vec<_> =
        calls.filter(|each| each.answered == answered).map(|each| each.took).collect();
    times.sort_unstable();
    times
}

fn p99(times: &[u64]) -> u64 {
    times[times.len() * 99 / 100]
}

const BEFORE: std::ops::Range<u64> = 0..20_000;
const BURST: std::ops::Range<u64> = 20_000..50_000;
const AFTER: std::ops::Range<u64> = 50_000..70_000;

/// The load of the users before and after a burst, and in it.
fn burst(users: &[&'static str], factor: f64) -> Vec<Flow> {
    let flow = |user, share, during: &std::ops::Range<u64>| {
        let rate = share * CAPACITY / users.len() as f64;
        Flow { user, rate, from: during.start, to: during.end }
    };
    let phases = [(0.6, BEFORE), (factor, BURST), (0.6, AFTER)];
    phases
        .iter()
        .flat_map(|(share, during)| users.iter().map(move |user| flow(user, *share, during)))
        .collect()
}

#[test]
fn calls_that_are_admitted_in_a_burst_are_fast_and_the_others_are_refused_in_time() {
    for factor in [3.0, 5.0, 20.0] {
        let over = simulate(&burst(&["a"], factor));
        let before = p99(&times(&over, "a", BEFORE, true));
        let admitted = times(&over, "a", BURST, true);
        let refused = times(&over, "a", BURST, false);

        assert!(p99(&admitted) <= 3 * before, "{factor}: {} and {before}", p99(&admitted));
        assert!(*refused.last().unwrap() <= 1000, "{factor}");
        // All of the capacity is used.
        let answered = admitted.len() as f64 / 30.0;
        assert!(answered >= 0.95 * CAPACITY, "{factor}: {answered}");
        assert!(times(&over, "a", BEFORE, false).is_empty(), "{factor}");
    }
}

#[test]
fn a_burst_is_over_at_once() {
    let over = simulate(&burst(&["a"], 5.0));
    let before = p99(&times(&over, "a", BEFORE, true));
    let after = BURST.end + 100..AFTER.end;

    assert!(times(&over, "a", after.clone(), false).is_empty());
    let after = p99(&times(&over, "a", after, true));
    assert!(after * 10 <= before * 15, "{after} and {before}");
}

#[test]
fn a_caller_below_its_share_is_never_refused_in_a_burst_of_others() {
    for others in [&["a"][..], &["a", "b", "c", "d"]] {
        let mut flows = burst(others, 5.0);
        // A fifth of the capacity among five would be its share.
        flows.push(Flow { user: "small", rate: 0.1 * CAPACITY, from: 0, to: AFTER.end });
        let over = simulate(&flows);

        let refused = times(&over, "small", 0..AFTER.end, false);
        assert!(refused.is_empty(), "{} of {others:?}", refused.len());
        let (alone, beside) =
            (p99(&times(&over, "small", BEFORE, true)), p99(&times(&over, "small", BURST, true)));
        assert!(beside <= 3 * alone, "{beside} and {alone} of {others:?}");
    }
}

#[test]
fn users_share_what_is_admitted_in_a_burst() {
    let users = ["a", "b", "c", "d"];
    let over = simulate(&burst(&users, 5.0));
    for user in users {
        let answered = times(&over, user, BURST, true).len() as f64 / 30.0;
        assert!(
            (answered - CAPACITY / 4.0).abs() <= 0.05 * CAPACITY / 4.0 + 0.5,
            "{user}: {answered}"
        );
    }
}

/// Has a user's call refused after `wait` while all places are taken, and returns when a second one is that came after it.
fn refused_after(direction: Direction, client_gives_up: bool) -> Duration {
    let mut world = World::new();
    let terms = Terms { reads: Most::Fixed(1), ..BUSY };
    let enter = |world: &World, ask| {
        let waker = || Box::new(world.bell.clone()) as Box<dyn Wake>;
        world.pool.enter(direction, ask, terms, world.now, waker).unwrap()
    };
    let Turn::Now(_seat) = enter(&world, ask("a", 10)) else { panic!() };
    let deadline = client_gives_up.then_some(world.now + Duration::from_millis(900));
    let Turn::Later(first) = enter(&world, Ask { deadline, ..ask("a", 10) }) else { panic!() };
    world.now += Duration::from_secs(1);
    world.pool.ring(world.now);
    assert!(matches!(first.look(world.now), Waited::Denied(Denied::Waited)));

    let Turn::Later(_second) = enter(&world, ask("a", 10)) else { panic!() };
    let next = world.pool.ring(world.now).unwrap();
    next - world.now
}

#[test]
fn only_reads_that_waited_as_long_as_they_may_shorten_the_wait_of_others() {
    let (short, long) = (Duration::from_millis(50), Duration::from_secs(1));

    assert_eq!(short, refused_after(Direction::Reads, false));
    assert_eq!(long, refused_after(Direction::Reads, true));
    assert_eq!(long, refused_after(Direction::Writes, false));
}
