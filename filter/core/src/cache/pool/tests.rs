//! The pool as its callers use it, with a clock of the tests' own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::alarm::Alarmed;
use crate::cache::caller::Caller;
use crate::cache::pool::control::Terms;
use crate::cache::question::glance::Asker;
use crate::cache::read::{Facts, Level, Read};
use crate::cache::reason::Reason;
use crate::host::clock::BootTime;
use crate::host::wake::Wake;

const TERMS: Terms = Terms {
    bound: Duration::from_secs(5),
    eventual_bound: Duration::from_secs(8),
    fill_lag: Duration::from_secs(1),
    max_wait: Duration::from_secs(3),
};
const CALLER: Caller = Caller([0; 32]);
const MEMORY: u64 = 1 << 20;
const FACTS: Facts = Facts { level: Level::Bounded, has_ttl: false, is_external: false };

fn at(milliseconds: u64) -> BootTime {
    BootTime::from_nanos(milliseconds * 1_000_000)
}

struct Woken(Arc<AtomicUsize>);

impl Wake for Woken {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A pool, the moment from which calls wait, and how often a call was woken.
struct Bench {
    pool: Arc<Pool>,
    began: Instant,
    woken: Arc<AtomicUsize>,
}

fn bench() -> Bench {
    let pool = Arc::new(Pool::default());
    pool.configure(PoolTerms { bound: TERMS.bound, memory: MEMORY }, 0);
    Bench { pool, began: Instant::now(), woken: Arc::default() }
}

fn read(key: u8) -> Read {
    Read {
        key: [key; 32],
        collection_key: [0; 32],
        caller: CALLER,
        database: "d".to_owned(),
        collection: "c".to_owned(),
        level: Some(Level::Bounded),
        guarantee: 0,
        asker: Asker(0),
        is_repeated: false,
    }
}

/// A timestamp of Milvus.
fn timestamp(milliseconds: u64) -> u64 {
    (1_000_000 + milliseconds) << 18
}

impl Bench {
    fn ask(&self, read: &Read, now: u64) -> Decision {
        let patience = Patience { now: self.began, deadline: None, bytes: 100 };
        self.ask_with(read, TERMS, now, patience)
    }

    fn ask_with(&self, read: &Read, terms: Terms, now: u64, patience: Patience) -> Decision {
        let woken = Arc::clone(&self.woken);
        self.pool.ask(read, terms, at(now), patience, || Box::new(Woken(woken)))
    }

    /// Makes reads of the collection possible: its facts are known, and a timestamp is a second old.
    fn prepare(&self, now: u64) {
        self.sample(at(now - 1000)).answered(timestamp(now - 1000), at(now));
        self.learn(FACTS, now);
    }

    fn sample(&self, sent: BootTime) -> SampleTicket {
        self.pool.sample_ticket(CALLER, sent, &mut self.pool.control())
    }

    fn level(&self, key: &[u8; 32], sent: BootTime) -> Option<LevelTicket> {
        self.pool.level_ticket(key, CALLER, sent, &mut self.pool.control())
    }

    fn learn(&self, facts: Facts, now: u64) {
        self.level(&[0; 32], at(now)).unwrap().learned(facts, at(now));
    }

    /// A structural call of a caller that is known.
    fn change(&self, now: u64) -> Change {
        self.pool.control().callers.answered(CALLER, at(now));
        self.pool.change_begins(CALLER, at(now))
    }

    /// A read that is sent.
    fn fill(&self, read: &Read, now: u64) -> Fill {
        let decision = self.ask(read, now);
        let Decision::Fill(mut fill) = decision else { panic!("{decision:?}") };
        fill.sent(at(now));
        fill
    }

    fn join(&self, read: &Read, now: u64) -> Seat {
        match self.ask(read, now) {
            Decision::Join(seat) => seat,
            other => panic!("{other:?}"),
        }
    }

    fn woken(&self) -> usize {
        self.woken.load(Ordering::Relaxed)
    }
}

fn answer(length: usize) -> Arc<[u8]> {
    vec![1; length].into()
}

fn reason(decision: &Decision) -> Option<Reason> {
    match decision {
        Decision::Forward(reason, _) => Some(*reason),
        _ => None,
    }
}

mod churn;
mod following;
mod histories;
mod refusing;
mod repeating;
mod strangers;
mod stress;
