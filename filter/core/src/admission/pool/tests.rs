use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::admission::cost::Class;
use crate::admission::key::Key;

mod burst;

#[derive(Clone, Default)]
struct Bell(Arc<AtomicUsize>);

impl Wake for Bell {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

const TERMS: Terms = Terms {
    reads: Most::Fixed(4),
    writes: Most::Fixed(1),
    wait: Duration::from_secs(3600),
    queued_bytes: 1 << 30,
};

fn ask(user: &str, results: u64) -> Ask {
    Ask {
        tenant: Key::of(user),
        flow: Key::of((user, "collection")),
        collection: Some(Key::of("collection")),
        class: Class::new(0, results, false, false),
        bytes: 1000,
        deadline: None,
    }
}

struct World {
    pool: Arc<Pool>,
    now: Instant,
    bell: Bell,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        Self { pool: Arc::new(Pool::new(now)), now, bell: Bell::default() }
    }

    fn enter(&self, ask: Ask, terms: Terms) -> Result<Turn, Denied> {
        let waker = || Box::new(self.bell.clone()) as Box<dyn Wake>;
        self.pool.enter(Direction::Reads, ask, terms, self.now, waker)
    }

    fn seat(&self, user: &str) -> Seat {
        let Ok(Turn::Now(seat)) = self.enter(ask(user, 10), TERMS) else { panic!() };
        seat
    }

    fn place(&self, user: &str) -> Place {
        let Ok(Turn::Later(place)) = self.enter(ask(user, 10), TERMS) else { panic!() };
        place
    }

    fn rings(&self) -> usize {
        self.bell.0.load(Ordering::Relaxed)
    }

    /// What runs and what waits.
    fn state(&self) -> (u64, usize, usize) {
        let state = self.pool.lock();
        state.reads.counts()
    }
}

#[test]
fn calls_over_the_limit_wait_for_those_that_run() {
    let world = World::new();
    let seats: Vec<_> = (0..4).map(|_| world.seat("a")).collect();
    let place = world.place("a");
    let Waited::Still(place) = place.look(world.now) else { panic!() };
    assert_eq!(0, world.rings());

    for seat in seats {
        seat.leave(world.now + Duration::from_millis(5));
    }

    assert_eq!(1, world.rings());
    let Waited::Until(seat, waited) = place.look(world.now + Duration::from_millis(7)) else {
        panic!()
    };
    assert_eq!(Duration::from_millis(7), waited);
    assert_eq!((1, 0, 0), world.state());
    drop(seat);
    assert_eq!((0, 0, 0), world.state());
}

#[test]
fn a_place_is_free_for_who_has_none() {
    let world = World::new();
    let first = world.seat("small");
    let seats: Vec<_> = (0..2).map(|_| world.seat("flood")).collect();
    let waits: Vec<_> = (0..20).map(|_| world.place("flood")).collect();
    drop(first);

    assert_eq!(1, world.rings());
    let _small = world.seat("small");
    drop(seats);
    assert_eq!(2, world.rings());
    drop(waits);
    assert_eq!((1, 0, 0), world.state());
}

#[test]
fn who_is_alone_has_every_place() {
    let world = World::new();

    let seats: Vec<_> = (0..4).map(|_| world.seat("flood")).collect();

    assert_eq!(4, seats.len());
}

#[test]
fn a_wait_has_an_end_and_a_client_may_end_it_earlier() {
    let mut world = World::new();
    let _seats: Vec<_> = (0..4).map(|_| world.seat("a")).collect();
    let terms = Terms { wait: Duration::from_secs(1000), ..TERMS };
    let soon = Ask { deadline: Some(world.now + Duration::from_secs(500)), ..ask("a", 10) };
    let Ok(Turn::Later(late)) = world.enter(ask("a", 10), terms) else { panic!() };
    let Ok(Turn::Later(early)) = world.enter(soon, terms) else { panic!() };

    let began = world.now;
    let at = |seconds| began + Duration::from_secs(seconds);
    assert_eq!(Some(at(500)), world.pool.ring(at(499)));
    assert_eq!(Some(at(1000)), world.pool.ring(at(500)));
    assert!(matches!(early.look(at(500)), Waited::Denied(Denied::Waited)));
    let Waited::Still(late) = late.look(at(500)) else { panic!() };
    assert_eq!(None, world.pool.ring(at(1000)));
    assert!(matches!(late.look(at(1000)), Waited::Denied(Denied::Waited)));
    assert_eq!((4, 0, 0), world.state());

    world.now = at(2000);
    let none = Terms { wait: Duration::ZERO, ..TERMS };
    assert!(matches!(world.enter(ask("a", 10), none), Err(Denied::Waited)));
    let late = Ask { deadline: Some(at(1999)), ..ask("a", 10) };
    assert!(matches!(world.enter(late, TERMS), Err(Denied::Waited)));
}

#[test]
fn bytes_that_wait_are_bounded_at_the_expense_of_who_has_most() {
    let world = World::new();
    let _seats: Vec<_> = (0..4).map(|_| world.seat("flood")).collect();
    let terms = Terms { queued_bytes: 30_000, ..TERMS };
    let waits: Vec<_> = (0..5)
        .map(|_| match world.enter(ask("flood", 10), terms) {
            Ok(Turn::Later(place)) => place,
            other => panic!("{other:?}"),
        })
        .collect();

    assert!(matches!(world.enter(ask("flood", 10), terms), Err(Denied::Full)));
    let Ok(Turn::Later(_small)) = world.enter(ask("small", 10), terms) else { panic!() };
    let denied = waits.into_iter().map(|place| place.look(world.now));
    let denied: Vec<_> =
        denied.map(|waited| matches!(waited, Waited::Denied(Denied::Full))).collect();
    assert_eq!([false, false, false, false, true], denied[..]);
}

#[test]
fn a_probe_of_the_adaptive_limit_ends_without_an_answer() {
    let mut world = World::new();
    let terms = Terms { reads: Most::Adaptive, ..TERMS };
    let enter = |world: &World| world.enter(ask("a", 10), terms).unwrap();
    let began = world.now + Duration::from_secs(60);
    world.now = began;
    let Turn::Now(seat) = enter(&world) else { panic!() };
    seat.leave(began);
    let _seats = [enter(&world), enter(&world)];
    let Turn::Later(place) = enter(&world) else { panic!() };

    // None of the calls at Milvus ends.
    let end = began + Duration::from_secs(2);
    assert_eq!(Some(end), world.pool.ring(end - Duration::from_millis(1)));
    assert_eq!(0, world.rings());
    world.pool.ring(end);
    assert_eq!(1, world.rings());
    let Waited::Until(_seat, _) = place.look(end) else { panic!() };
    world.now = end;
    let Turn::Now(_seat) = enter(&world) else { panic!() };
}

#[test]
fn writes_do_not_wait_for_reads() {
    let world = World::new();
    let _reads: Vec<_> = (0..4).map(|_| world.seat("a")).collect();
    let enter =
        || world.pool.enter(Direction::Writes, ask("a", 1), TERMS, world.now, || unreachable!());

    let Ok(Turn::Now(_write)) = enter() else { panic!() };
}

#[test]
fn nothing_is_lost_whatever_a_call_does_at_whatever_moment() {
    let world = World::new();
    let mut random = 7_u64;
    let mut next = |below: u64| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let (mut seats, mut places) = (Vec::new(), Vec::new());
    for step in 0..200_000_u64 {
        let now = world.now + Duration::from_millis(step);
        match next(8) {
            0..=3 => {
                let user = ["a", "b", "c"][next(3) as usize];
                let terms = Terms {
                    reads: [Most::Fixed(1 + next(6)), Most::Adaptive][next(2) as usize],
                    queued_bytes: 20_000 + next(1_000_000),
                    ..TERMS
                };
                let waker = || Box::new(world.bell.clone()) as Box<dyn Wake>;
                match world.pool.enter(Direction::Reads, ask(user, next(1000)), terms, now, waker) {
                    Ok(Turn::Now(seat)) => seats.push(seat),
                    Ok(Turn::Later(place)) => places.push(place),
                    Err(_) => {}
                }
            }
            4 if !seats.is_empty() => {
                seats.swap_remove(next(seats.len() as u64) as usize).leave(now)
            }
            5 if !seats.is_empty() => drop(seats.swap_remove(next(seats.len() as u64) as usize)),
            6 if !places.is_empty() => drop(places.swap_remove(next(places.len() as u64) as usize)),
            7 if !places.is_empty() => {
                match places.swap_remove(next(places.len() as u64) as usize).look(now) {
                    Waited::Until(seat, _) => seats.push(seat),
                    Waited::Still(place) => places.push(place),
                    Waited::Denied(_) => {}
                }
            }
            _ => {}
        }
        if step % 1000 == 0 {
            world.pool.ring(now);
        }
    }
    drop(places);
    drop(seats);

    assert_eq!((0, 0, 0), world.state());
    assert_eq!(0, world.pool.lock().reads.bytes());
}

#[test]
fn no_place_at_milvus_is_lost_when_threads_cancel_calls_at_once() {
    let world = World::new();
    let terms = Terms { reads: Most::Fixed(1), ..TERMS };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    drop(world.enter(ask("a", 10), terms));
                }
            });
        }
    });

    assert_eq!((0, 0, 0), world.state());
    let Ok(Turn::Now(_seat)) = world.enter(ask("a", 10), terms) else { panic!() };
}

/// Simulates a pool that works on `CORES` calls at a time, with a flood beside single cheap calls, and returns the wait
/// of each cheap call and the calls of the flood that were done.
fn flooded(fair: bool) -> (Vec<Duration>, usize) {
    let mut world = World::new();
    let began = world.now;
    let terms = Terms { reads: Most::Fixed(4), ..TERMS };
    let one_user = |user: &'static str| if fair { user } else { "all" };
    // Calls that run, by when they end; the places of calls that wait.
    let mut running: Vec<(Instant, &str, Seat)> = Vec::new();
    let mut waiting: Vec<(&str, Instant, Place)> = Vec::new();
    let (mut waits, mut done) = (Vec::new(), 0);
    for millisecond in 0..20_000_u64 {
        world.now = began + Duration::from_millis(millisecond);
        let mut asked: Vec<&str> = Vec::new();
        if millisecond % 200 == 0 {
            asked.push("small");
        }
        let floods = running.iter().filter(|(_, user, _)| *user == "flood").count()
            + waiting.iter().filter(|(user, ..)| *user == "flood").count();
        asked.extend(std::iter::repeat_n("flood", 32 - floods));
        for user in asked {
            let results = if user == "small" { 10 } else { 100_000 };
            let took = Duration::from_millis(if user == "small" { 3 } else { 100 });
            match world.enter(ask(one_user(user), results), terms).unwrap() {
                Turn::Now(seat) => {
                    if user == "small" {
                        waits.push(Duration::ZERO);
                    }
                    running.push((world.now + took, user, seat));
                }
                Turn::Later(place) => waiting.push((user, world.now, place)),
            }
        }
        let (over, still): (Vec<_>, Vec<_>) =
            std::mem::take(&mut running).into_iter().partition(|(until, ..)| *until <= world.now);
        running = still;
        for (_, user, seat) in over {
            done += usize::from(user == "flood");
            seat.leave(world.now);
        }
        for (user, since, place) in std::mem::take(&mut waiting) {
            match place.look(world.now) {
                Waited::Still(place) => waiting.push((user, since, place)),
                Waited::Until(seat, waited) => {
                    if user == "small" {
                        waits.push(waited);
                    }
                    let took = Duration::from_millis(if user == "small" { 3 } else { 100 });
                    running.push((world.now + took, user, seat));
                }
                Waited::Denied(_) => panic!(),
            }
        }
    }
    (waits, done)
}

#[test]
fn cheap_calls_hardly_wait_beside_a_flood() {
    let (mut fair, _) = flooded(true);
    let (mut unfair, _) = flooded(false);
    fair.sort_unstable();
    unfair.sort_unstable();
    let p99 = |waits: &[Duration]| waits[waits.len() * 99 / 100 - 1];

    assert!(fair.len() >= 99, "{}", fair.len());
    assert!(p99(&fair) <= Duration::from_millis(2), "{:?}", p99(&fair));
    assert!(p99(&unfair) >= Duration::from_millis(300), "{:?}", p99(&unfair));
}

#[test]
fn users_get_the_same_time_whatever_their_calls_take() {
    let mut world = World::new();
    let terms = Terms { reads: Most::Fixed(1), ..TERMS };
    let began = world.now;
    let users = [("a", 10, 2), ("b", 1000, 20), ("c", 100_000, 70)];
    let mut waiting: Vec<(&str, u64, Place)> = Vec::new();
    let mut got: HashMap<&str, u64> = HashMap::new();
    let mut running: Option<(&str, u64, u64, Seat)> = None;
    for millisecond in 0..60_000_u64 {
        world.now = began + Duration::from_millis(millisecond);
        for (user, results, took) in users {
            while waiting.iter().filter(|(other, ..)| *other == user).count() < 8 {
                match world.enter(ask(user, results), terms).unwrap() {
                    Turn::Now(seat) => running = Some((user, took, millisecond + took, seat)),
                    Turn::Later(place) => waiting.push((user, took, place)),
                }
            }
        }
        if running.as_ref().is_some_and(|(_, _, until, _)| *until <= millisecond) {
            let (user, took, _, seat) = running.take().unwrap();
            *got.entry(user).or_default() += took;
            seat.leave(world.now);
            for (user, took, place) in std::mem::take(&mut waiting) {
                match place.look(world.now) {
                    Waited::Still(place) => waiting.push((user, took, place)),
                    Waited::Until(seat, _) => {
                        running = Some((user, took, millisecond + took, seat))
                    }
                    Waited::Denied(_) => panic!(),
                }
            }
        }
    }
    let total: u64 = got.values().sum();
    for (user, time) in &got {
        // 5 % of a third, and while costs are learned.
        assert!(time.abs_diff(total / 3) < total / 60 + 300, "{user}: {time} of {total}");
    }
}
