//! The decision about a read that was received completely.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::alarm;
use crate::cache::planted;
use crate::cache::pool::calls::{Fill, Hit, Seat, Sending, Subject, Watch};
use crate::cache::pool::control::{guarantee, Control, Terms};
use crate::cache::pool::entries::{Entry, EntryKey, Found};
use crate::cache::pool::flights::{Flight, Follower, Stage};
use crate::cache::pool::outcomes::Word;
use crate::cache::pool::pace::Place;
use crate::cache::pool::samples::LOGICAL_BITS;
use crate::cache::pool::state::Pool;
use crate::cache::pool::store::Shard;
use crate::cache::question::glance::Asker;
use crate::cache::read::{Level, Read};
use crate::cache::reason::Reason;
use crate::host::clock::BootTime;
use crate::host::wake::Wake;

/// How a read can wait.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub now: Instant,
    /// The read's own deadline.
    pub deadline: Option<Instant>,
    /// What is held of its request meanwhile.
    pub bytes: u64,
}

/// What is done with a read.
#[derive(Debug)]
pub enum Decision {
    /// It is answered with this.
    Hit(Hit),
    /// It waits for the answer to another read; its waker is called when `outcome` has changed.
    Join(Seat),
    /// It is sent, and its answer may be stored: a `miss`.
    Fill(Fill),
    /// It is sent unchanged, and no other read gets its answer.
    Forward(Reason, Option<Watch>),
}

/// What a guarantee may be above the one that a read would ask for itself, so that it waits for the same call: a step of
/// Milvus's timestamps, 50 ms.
const NEARLY: u64 = 50 << LOGICAL_BITS;
/// The guarantee that SDKs send for Eventually.
const EVENTUALLY: u64 = 1;

/// A read at one moment.
pub struct Asked {
    terms: Terms,
    now: BootTime,
    key: EntryKey,
    guarantee: u64,
    /// Whether Milvus waits until it has the guarantee.
    may_wait: bool,
}

/// The pool's generation at that moment.
#[derive(Clone, Copy)]
struct Epoch {
    generation: u64,
    is_open: bool,
}

impl Epoch {
    fn of(control: &Control, now: BootTime) -> Self {
        let generation = &control.generation;
        Self { generation: generation.number(), is_open: generation.is_open(now) }
    }
}

/// What a read needs to be known.
pub struct Need {
    /// The collection's level: not for a collection, with these headers, that is read once.
    pub level: bool,
    /// Whether the read is sent unchanged unless the level is learned.
    pub is_level_unknown: bool,
    /// Whether an answer is stored for it.
    pub is_hit: bool,
    /// A timestamp.
    pub sample: bool,
    /// Whether the youngest timestamp that is permitted is wanted: the answer to a read that comes again is used for longer.
    pub is_urgent: bool,
}

enum Step {
    Hit(Hit),
    Join(Place, u64),
    Fill(Place, Sending),
    Forward(Reason),
    Watch(Place, Reason),
}

impl Pool {
    /// Decides about a read, and counts the decision. `now` is when it was received completely. `waker` is asked for where it
    /// has to wait.
    pub fn ask(
        self: &Arc<Self>,
        read: &Read,
        terms: Terms,
        now: BootTime,
        patience: Patience,
        waker: impl FnOnce() -> Box<dyn Wake>,
    ) -> Decision {
        let digest = EntryKey { digest: read.key, is_eventual: false };
        let mut shard = self.shard(&digest);
        let mut control = self.control();
        let memory = control.terms.memory;
        let asked = match Asked::new(read, terms, now, &mut control) {
            Ok(asked) => asked,
            Err(reason) => {
                if reason == Reason::LevelUnknown {
                    shard.doorkeeper.has_seen(&read.key);
                }
                drop((control, shard));
                self.count(Word::Bypass(reason));
                return Decision::Forward(reason, None);
            }
        };
        let step = asked.decide(read, &mut shard, &mut control);
        drop(control);
        let subject = |place| Subject { key: asked.key, caller: read.caller, terms, place };
        let decision = match step {
            Step::Hit(hit) => Decision::Hit(hit),
            Step::Join(place, flight) => {
                match self.join(&asked, &mut shard, flight, patience, memory, waker) {
                    Ok(follower) => Decision::Join(Seat::new(
                        Arc::clone(self),
                        subject(place),
                        flight,
                        follower,
                    )),
                    Err(reason) => Decision::Forward(reason, None),
                }
            }
            Step::Fill(place, sending) => {
                Decision::Fill(Fill::new(Arc::clone(self), subject(place), sending))
            }
            Step::Forward(reason) => Decision::Forward(reason, None),
            Step::Watch(place, reason) => {
                Decision::Forward(reason, Some(Watch::new(Arc::clone(self), place)))
            }
        };
        drop(shard);
        match &decision {
            Decision::Hit(_) => self.count(Word::Hit),
            Decision::Fill(_) => self.count(Word::Miss),
            Decision::Forward(reason, _) => {
                self.count(Word::Bypass(*reason));
            }
            // It is counted when it is known what becomes of it.
            Decision::Join(_) => {}
        }
        decision
    }

    fn join(
        &self,
        asked: &Asked,
        shard: &mut Shard,
        flight: u64,
        patience: Patience,
        memory: u64,
        waker: impl FnOnce() -> Box<dyn Wake>,
    ) -> Result<Arc<Follower>, Reason> {
        let cap = patience.now + asked.terms.max_wait;
        let until = patience.deadline.map_or(cap, |deadline| deadline.min(cap));
        if until <= patience.now || !alarm::set(until) {
            return Err(Reason::Waited);
        }
        if !self.park(patience.bytes, memory) {
            return Err(Reason::Parked);
        }
        let is_own = patience.deadline == Some(until);
        let follower = |number| Follower::new(number, until, is_own, patience.bytes, waker());
        let joined = shard.flights.join(asked.key, flight, asked.guarantee, follower);
        joined.ok_or_else(|| {
            self.unpark(patience.bytes);
            Reason::Waited
        })
    }
}

impl Asked {
    fn new(
        read: &Read,
        terms: Terms,
        now: BootTime,
        control: &mut Control,
    ) -> Result<Self, Reason> {
        let level = Self::level(read, terms, now, control)?;
        let key = EntryKey { digest: read.key, is_eventual: level == Level::Eventually };
        let may_wait = level != Level::Bounded;
        Ok(Self { terms, now, key, guarantee: guarantee(read.guarantee), may_wait })
    }

    /// The level of the read, unless it is one that is always sent unchanged.
    fn level(
        read: &Read,
        terms: Terms,
        now: BootTime,
        control: &mut Control,
    ) -> Result<Level, Reason> {
        let is_strong = |level| level == Level::Strong && !planted::strong_stored();
        if read.level.is_some_and(is_strong) {
            return Err(Reason::Strong);
        }
        let generation = control.generation.number();
        let facts = control.facts.get(&read.collection_key, generation, now, terms.bound);
        let facts = facts.ok_or(Reason::LevelUnknown)?;
        let level = match read.level.unwrap_or(facts.level) {
            // Milvus does not wait for it.
            Level::Session | Level::Customized if read.guarantee == EVENTUALLY => Level::Eventually,
            level => level,
        };
        if facts.has_ttl {
            Err(Reason::Ttl)
        } else if facts.is_external {
            Err(Reason::External)
        } else if is_strong(level) {
            Err(Reason::Strong)
        } else {
            Ok(level)
        }
    }

    /// What should be asked of Milvus before a read is decided about.
    pub fn need(
        read: &Read,
        terms: Terms,
        now: BootTime,
        shard: &Shard,
        control: &mut Control,
    ) -> Need {
        let was_seen = read.is_repeated || shard.doorkeeper.knows(&read.key);
        match Self::new(read, terms, now, control) {
            Err(Reason::LevelUnknown) => {
                let level = control.facts.has_seen(&read.collection_key);
                let is_urgent = was_seen;
                Need { level, is_level_unknown: true, is_hit: false, sample: true, is_urgent }
            }
            Err(_) => Need {
                level: false,
                is_level_unknown: false,
                is_hit: false,
                sample: false,
                is_urgent: false,
            },
            Ok(asked) => {
                let entry = shard.entries.get(&asked.key);
                let epoch = Epoch::of(control, now);
                let is_hit = entry.is_some_and(|entry| asked.may_hit(entry, epoch));
                let is_urgent = (was_seen || entry.is_some()) && !is_hit;
                Need { level: true, is_level_unknown: false, is_hit, sample: true, is_urgent }
            }
        }
    }

    fn decide(&self, read: &Read, shard: &mut Shard, control: &mut Control) -> Step {
        let epoch = Epoch::of(control, self.now);
        let was_seen = shard.doorkeeper.has_seen(&self.key.digest) || read.is_repeated;
        let mut is_new = !read.is_repeated;
        let is_stored = match shard.entries.find(&self.key, |entry| self.may_hit(entry, epoch)) {
            Found::Usable(entry) => {
                if let Some(asker) = entry.new.take().filter(|_| !read.is_repeated) {
                    control.repeats.repeated(asker);
                }
                return match &entry.answer {
                    Ok(answer) => {
                        let (answer, age) = (Arc::clone(answer), self.now.since(entry.label.sent));
                        Step::Hit(Hit { answer, age })
                    }
                    Err(reason) => Step::Forward(*reason),
                };
            }
            Found::Unusable(entry) => {
                is_new &= self.now.since(entry.label.sent) > self.bound() * 2;
                true
            }
            Found::Nothing => false,
        };
        let place = control.paces.place(&read.database, &read.collection);
        // Eventually reads do not wait in Milvus: they are slow with and without Kiteway.
        let is_slow = !self.key.is_eventual && control.paces.is_slow(place, self.now);
        let patience = control.paces.patience(place);
        let soon = self.soon(control);
        let may_join = |flight: &Flight| self.may_join(flight, epoch) && flight.waits_for() <= soon;
        if let Some(flight) = shard.flights.find(&self.key, may_join) {
            let is_stuck = flight.sent.is_some_and(|sent| self.now.since(sent) > patience);
            if self.key.is_eventual || !(is_slow || is_stuck) {
                if let Some(asker) = flight.new.take().filter(|_| !read.is_repeated) {
                    control.repeats.repeated(asker);
                }
                return Step::Join(place, flight.number);
            }
            return Step::Watch(place, Reason::SlowFill);
        }
        if is_slow {
            return Step::Watch(place, Reason::SlowFill);
        }
        let new = is_new.then_some(read.asker);
        self.fill(shard, control, epoch, (place, was_seen || is_stored, new))
    }

    /// The last timestamp for which the read may wait. It would ask for one that is as late, or nearly.
    fn soon(&self, control: &Control) -> u64 {
        if control.ahead == Duration::MAX {
            return u64::MAX;
        }
        let Terms { fill_lag, bound, .. } = self.terms;
        let sample = control.samples.for_fill(self.now, fill_lag, bound);
        let own = if self.may_wait { self.guarantee } else { 0 };
        own.max(sample.map_or(0, |sample| sample.timestamp)).saturating_add(NEARLY)
    }

    fn may_hit(&self, entry: &Entry, epoch: Epoch) -> bool {
        self.now.since(entry.label.sent) <= self.bound()
            && (self.guarantee == 0 || entry.label.upto >= self.guarantee)
            && entry.generation == epoch.generation
            && epoch.is_open
    }

    fn may_join(&self, flight: &Flight, epoch: Epoch) -> bool {
        let ignored = planted::generation_ignored_at_join();
        match flight.stage {
            Stage::Sent(label, generation) => {
                self.now.since(label.sent) <= self.bound()
                    && (self.guarantee == 0 || label.upto >= self.guarantee)
                    && (generation == epoch.generation || ignored)
                    && (epoch.is_open || ignored)
            }
            // Its label will be that of a later moment, and have the guarantees of all that wait for it.
            Stage::Promised => epoch.is_open,
        }
    }

    fn fill(
        &self,
        shard: &mut Shard,
        control: &mut Control,
        epoch: Epoch,
        (place, is_wanted, new): (Place, bool, Option<Asker>),
    ) -> Step {
        if !epoch.is_open {
            return Step::Forward(Reason::Closed);
        }
        let guarantee = (self.guarantee, self.may_wait);
        match control.label(self.key.is_eventual, guarantee, self.terms, self.now) {
            Err(reason @ Reason::NoSample) => Step::Watch(place, reason),
            Err(reason) => Step::Forward(reason),
            Ok(label) => {
                let generation = epoch.generation;
                let flight = shard.flights.begin(self.key, label, generation, self.guarantee, new);
                let hedge_after = control.paces.hedge_after(place);
                let sending = Sending { flight, label, generation, hedge_after, is_wanted, new };
                Step::Fill(place, sending)
            }
        }
    }

    fn bound(&self) -> Duration {
        if self.key.is_eventual {
            self.terms.eventual_bound
        } else {
            self.terms.bound
        }
    }
}
