//! Threads that read, fail, leave and change collections at the same time, and a Milvus that gives the least it may.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::{channel, Sender};
use std::thread;

use super::*;

/// Here a second of the cache takes 20 ms.
const SPEED: u64 = 50;
const READERS: u64 = 6;
const RUNS: Duration = Duration::from_secs(3);
/// The longest wait for a wake-up that must come.
const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    bench: Bench,
    /// The version of the collection as Milvus has it.
    version: AtomicU64,
    /// The version whose change was answered.
    acknowledged: AtomicU64,
    ends: AtomicBool,
}

struct Sends(Sender<()>);

impl Wake for Sends {
    fn wake(&self) {
        let _ = self.0.send(());
    }
}

/// The same numbers in each run, up to what the threads make of them.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

impl World {
    /// Does it again and again, with a pause in microseconds.
    fn repeat(&self, pause: u64, seed: u64, act: impl Fn(&Self, &mut Random)) {
        let mut random = Random(seed);
        while !self.ends.load(Ordering::Relaxed) {
            act(self, &mut random);
            thread::sleep(Duration::from_micros(pause));
        }
    }

    fn now(&self) -> BootTime {
        // Not 0, so that a time before it exists.
        BootTime::from_nanos(self.began().as_nanos() as u64 * SPEED) + TERMS.eventual_bound * 2
    }

    fn began(&self) -> Duration {
        self.bench.began.elapsed()
    }

    /// Milvus's timestamp at a time: each is later than that of an earlier time.
    fn timestamp(now: BootTime) -> u64 {
        3 + now.since(BootTime::from_nanos(0)).as_nanos() as u64
    }

    /// What Milvus answers to a read with this guarantee, or one that is Eventually.
    fn answer(&self, guarantee: Option<u64>) -> Arc<[u8]> {
        let upto = guarantee.unwrap_or_else(|| Self::timestamp(self.now()));
        let version = self.version.load(Ordering::SeqCst);
        [upto.to_le_bytes(), version.to_le_bytes()].concat().into()
    }

    fn read(&self, random: &mut Random) {
        let key = random.below(12) as u8;
        let is_eventual = key % 3 == 0;
        let level = if is_eventual { Level::Eventually } else { Level::Bounded };
        // Now and then a client has just written.
        let guarantee = match random.below(4) {
            0 if !is_eventual => Self::timestamp(self.now()),
            _ => 0,
        };
        let read = Read { level: Some(level), guarantee, ..read(key) };
        let due = self.bench.pool.due(&read, TERMS, self.now());
        if let Some(ticket) = due.level {
            ticket.learned(FACTS, self.now());
        }
        if let Some(ticket) = due.sample {
            let timestamp = Self::timestamp(self.now());
            ticket.answered(timestamp, self.now());
        }
        let acknowledged = self.acknowledged.load(Ordering::SeqCst);
        let now = self.now();
        let check = |hit: Hit| {
            let [upto, version] = [0, 8]
                .map(|place| u64::from_le_bytes(hit.answer[place..place + 8].try_into().unwrap()));
            assert!(version >= acknowledged, "{version} of {acknowledged}");
            assert!(upto >= guarantee);
            let bound = if is_eventual { TERMS.eventual_bound } else { TERMS.bound };
            let oldest = Self::timestamp(now) - bound.as_nanos() as u64;
            assert!(upto >= oldest, "{} ns too old", oldest - upto);
        };
        let (sender, woken) = channel();
        let patience = Patience { now: Instant::now(), deadline: None, bytes: 1 };
        let mut seat =
            match self.bench.pool.ask(&read, TERMS, now, patience, || Box::new(Sends(sender))) {
                Decision::Hit(hit) => return check(hit),
                Decision::Forward(..) => return,
                Decision::Fill(fill) => return self.send(fill, random),
                Decision::Join(seat) => seat,
            };
        loop {
            if random.below(8) == 0 {
                return;
            }
            woken.recv_timeout(PATIENCE).expect("it was not woken");
            seat = match seat.outcome(self.now()) {
                Outcome::Answer(hit) => return check(hit),
                Outcome::Lead(fill) => return self.send(fill, random),
                Outcome::Forward(_) | Outcome::Expired => return,
                Outcome::Still(seat) => seat,
            };
        }
    }

    fn send(&self, mut fill: Fill, random: &mut Random) {
        fill.sent(self.now());
        thread::sleep(Duration::from_micros(random.below(2000)));
        let answer = self.answer(fill.ask_for());
        thread::sleep(Duration::from_micros(random.below(2000)));
        fill.answering(self.now());
        match random.below(12) {
            0 => drop(fill),
            1 => fill.lost(self.now()),
            2 => fill.cannot_be_kept(Reason::TooLarge, self.now()),
            _ => fill.finish(answer, self.now()),
        }
    }

    fn change(&self, random: &mut Random) {
        let change = self.bench.pool.change_begins(CALLER, self.now());
        thread::sleep(Duration::from_micros(random.below(1000)));
        if random.below(3) > 0 {
            return change.ends(Ended::Refused, self.now());
        }
        let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        change.ends(Ended::Done, self.now());
        self.acknowledged.store(version, Ordering::SeqCst);
    }
}

#[test]
fn nothing_is_too_old_or_forgotten_whatever_happens_at_once() {
    let world = World {
        bench: bench(),
        version: AtomicU64::new(0),
        acknowledged: AtomicU64::new(0),
        ends: AtomicBool::new(false),
    };
    {
        // On a busy machine everything is slow at this speed.
        let mut control = world.bench.pool.control();
        control.ahead = Duration::MAX;
        control.paces.tolerance = Duration::from_secs(1_000_000);
    }
    thread::scope(|scope| {
        let world = &world;
        for seed in 0..READERS {
            scope.spawn(move || world.repeat(100, seed, World::read));
        }
        scope.spawn(move || world.repeat(100_000, 100, World::change));
        thread::sleep(RUNS);
        world.ends.store(true, Ordering::Relaxed);
    });

    let report = world.bench.pool.report(world.now());
    let counts = report.outcomes;
    assert!(counts.hit > 100 && counts.joined > 10 && counts.miss > 100, "{report:?}");
    assert!(report.generation > 1, "{report:?}");
    for key in 0..12 {
        let key = crate::cache::pool::entries::EntryKey { digest: [key; 32], is_eventual: false };
        assert!(world.bench.pool.shard(&key).flights.is_empty());
    }
    // Nothing waits: all of the memory for it is free.
    assert!(world.bench.pool.park(MEMORY / 4, MEMORY));
    world.bench.pool.clear();
    assert_eq!((0, 0), {
        let report = world.bench.pool.report(world.now());
        (report.bytes, report.entries)
    });
}
