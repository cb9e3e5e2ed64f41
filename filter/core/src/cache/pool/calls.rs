//! Reads whose decision is not over: the one that is sent, and those that wait for it.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::caller::Caller;
use crate::cache::pool::control::Terms;
use crate::cache::pool::entries::{Entry, EntryKey, Label};
use crate::cache::pool::flights::{Follower, Stage, Standing};
use crate::cache::pool::outcomes::Word;
use crate::cache::pool::pace::{Place, Timed};
use crate::cache::pool::state::{Pool, Reserved};
use crate::cache::question::glance::Asker;
use crate::cache::reason::Reason;
use crate::host::clock::BootTime;

/// So many reads that wait for a fill are sent at once where it was late. More would be a burst.
const MOST_AT_ONCE: usize = 8;

/// An answer to serve, and how old it is: the age of the timestamp up to which it is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub answer: Arc<[u8]>,
    pub age: Duration,
}

/// What is asked, while it is sent or waits.
#[derive(Clone, Debug)]
pub struct Subject {
    pub key: EntryKey,
    pub caller: Caller,
    pub terms: Terms,
    pub place: Place,
}

/// How a read is sent whose answer may be stored.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    /// The number of its flight.
    pub flight: u64,
    /// The label that its answer will have, and the generation at its send.
    pub label: Label,
    pub generation: u64,
    /// So long after it was sent it is sent again as its client sent it.
    pub hedge_after: Duration,
    /// Whether it was seen before: otherwise its answer evicts no other one.
    pub is_wanted: bool,
    /// The asker, if the question is new.
    pub new: Option<Asker>,
}

/// A read that is sent to Milvus and whose answer may be stored. If it is dropped, there is no good answer: exactly one of
/// those that wait for it is promoted.
#[derive(Debug)]
pub struct Fill {
    pool: Arc<Pool>,
    subject: Subject,
    sending: Sending,
    pace: Pace,
    is_open: bool,
}

/// Whether Milvus is slow with a fill.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// The fill waits for its turn.
    Unsent,
    Measured(Timed),
    /// Milvus has begun to answer, or the fill says nothing of its pace.
    Unknown,
}

/// A read that waits for the answer to another one. Dropping it ends the wait.
#[derive(Debug)]
pub struct Seat {
    pool: Arc<Pool>,
    subject: Subject,
    flight: u64,
    follower: Arc<Follower>,
    leads: bool,
}

/// What has become of a read that waits.
#[derive(Debug)]
pub enum Outcome {
    /// It waits.
    Still(Seat),
    /// `joined`.
    Answer(Hit),
    /// It was promoted: it is sent as a `miss`, and those that still wait, wait for it.
    Lead(Fill),
    /// It is sent unchanged.
    Forward(Reason),
    /// Its own deadline has passed.
    Expired,
}

/// A read that is sent unchanged: what it takes is the usual time.
#[derive(Debug)]
pub struct Watch {
    pool: Arc<Pool>,
    place: Place,
    /// None while it waits for its turn.
    sent: Option<BootTime>,
}

impl Fill {
    pub fn new(pool: Arc<Pool>, subject: Subject, sending: Sending) -> Self {
        Self { pool, subject, sending, pace: Pace::Unsent, is_open: true }
    }

    /// The guarantee timestamp that the request must have; None: it is sent unchanged.
    pub fn ask_for(&self) -> Option<u64> {
        (!self.subject.key.is_eventual).then_some(self.sending.label.upto)
    }

    /// So long after it was sent it is sent again as its client sent it, and the first answer counts.
    pub fn hedge_after(&self) -> Duration {
        self.sending.hedge_after
    }

    /// It is sent, after it has waited for its turn. Only the first time counts.
    pub fn sent(&mut self, now: BootTime) {
        if !matches!(self.pace, Pace::Unsent) {
            return;
        }
        self.pace = Pace::Unknown;
        let Subject { key, place, .. } = self.subject;
        if let Some(flight) = self.pool.shard(&key).flights.get(&key, self.sending.flight) {
            flight.sent = Some(now);
            // Eventually reads do not wait in Milvus, and one that waits for its client's own guarantee says nothing.
            if !key.is_eventual && self.sending.label.upto > flight.guarantee {
                let timed = self.pool.control().paces.begin(place, now);
                self.pace = timed.map_or(Pace::Unknown, Pace::Measured);
            }
        }
    }

    /// Milvus begins to answer. Here its pace is measured: how fast the client reads says nothing.
    pub fn answering(&mut self, now: BootTime) {
        if let Pace::Measured(timed) = std::mem::replace(&mut self.pace, Pace::Unknown) {
            self.pool.control().paces.answered(timed, now);
        }
    }

    /// Reserves memory for an answer of so many bytes. None: too many are on their way.
    pub fn reserve(&self, bytes: u64) -> Option<Reserved> {
        self.pool.reserve(bytes)
    }

    /// The answer has come and is wholly good: it is stored, and those that wait get it.
    pub fn finish(self, answer: Arc<[u8]>, now: BootTime) {
        let standing = Standing::Answered(Arc::clone(&answer), self.sending.label);
        let mut control = self.pool.control();
        control.callers.answered(self.subject.caller, now);
        if let Some(asker) = self.sending.new {
            control.repeats.filled(asker, now);
            self.pool.looks_if_seldom(&control);
        }
        drop(control);
        self.end(Ok(answer), &standing, now);
    }

    /// The answer is good but cannot be kept. Those that wait are sent, and so is each such read for some time.
    pub fn cannot_be_kept(self, reason: Reason, now: BootTime) {
        self.end(Err(reason), &Standing::Forwarded(reason), now);
    }

    /// The client's own question was answered first. Its answer has no label. Those that wait are sent themselves, because Milvus
    /// answers such reads as fast. If many wait, one of them is promoted the first time: the fill may have been late by chance.
    pub fn overtaken(mut self, now: BootTime) {
        let Subject { key, place, .. } = self.subject;
        let mut control = self.pool.control();
        if let Pace::Measured(timed) = std::mem::replace(&mut self.pace, Pace::Unknown) {
            control.paces.overtaken(timed, self.sending.hedge_after, now);
        }
        let is_slow = control.paces.is_slow(place, now);
        drop(control);
        let flight = self.sending.flight;
        let mut shard = self.pool.shard(&key);
        let waiting = shard.flights.get(&key, flight).map_or(0, |flight| flight.waiting());
        if is_slow || waiting <= MOST_AT_ONCE {
            self.is_open = false;
            shard.flights.end(&key, flight, &Standing::Forwarded(Reason::SlowFill));
        }
    }

    /// The call is over without a good answer, for whatever reason. As dropping it, but its time counts.
    pub fn lost(mut self, now: BootTime) {
        if let Pace::Measured(timed) = std::mem::replace(&mut self.pace, Pace::Unknown) {
            self.pool.control().paces.abandoned(timed, now);
        }
    }

    fn end(mut self, answer: Result<Arc<[u8]>, Reason>, standing: &Standing, now: BootTime) {
        self.answering(now);
        self.store(answer, now);
        self.is_open = false;
        // Only now: a read that comes in between finds the answer.
        let mut shard = self.pool.shard(&self.subject.key);
        shard.flights.end(&self.subject.key, self.sending.flight, standing);
    }

    fn store(&self, answer: Result<Arc<[u8]>, Reason>, now: BootTime) {
        let Subject { key, terms, .. } = &self.subject;
        let bound = if key.is_eventual { terms.eventual_bound } else { terms.bound };
        let Sending { flight, label, generation, is_wanted, .. } = self.sending;
        let (is_joined, new) = match self.pool.shard(key).flights.get(key, flight) {
            Some(flight) => (flight.is_joined(), flight.new),
            None => (false, None),
        };
        let is_wanted = is_wanted || is_joined;
        let entry = Entry { label, generation, expires: label.sent + bound, answer, new };
        self.pool.put(*key, entry, is_wanted, now);
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        if let Pace::Measured(timed) = self.pace {
            self.pool.control().paces.forget(timed);
        }
        self.pool.shard(&self.subject.key).flights.promote(&self.subject.key, self.sending.flight);
    }
}

impl Seat {
    pub fn new(pool: Arc<Pool>, subject: Subject, flight: u64, follower: Arc<Follower>) -> Self {
        Self { pool, subject, flight, follower, leads: false }
    }

    /// What has become of it, asked when it was woken.
    pub fn outcome(self, now: BootTime) -> Outcome {
        match self.follower.standing() {
            Standing::Waits => Outcome::Still(self),
            Standing::Answered(answer, label) => {
                self.count(Word::Joined);
                Outcome::Answer(Hit { answer, age: now.since(label.sent) })
            }
            Standing::Promoted => self.lead(now),
            Standing::Forwarded(reason) => {
                self.count(Word::Bypass(reason));
                Outcome::Forward(reason)
            }
            Standing::Expired => {
                self.count(Word::Bypass(Reason::Waited));
                Outcome::Expired
            }
        }
    }

    /// Sends it in the place of the one that it waited for. What a fill needs is looked up again: much time may have passed.
    fn lead(mut self, now: BootTime) -> Outcome {
        self.leads = true;
        let Subject { key, terms, place, .. } = self.subject;
        let mut shard = self.pool.shard(&key);
        let control = self.pool.control();
        let guarantee = shard.flights.get(&key, self.flight).map_or(0, |flight| flight.guarantee);
        let label = if !control.generation.is_open(now) {
            Err(Reason::Closed)
        } else {
            // Those that wait have guarantees too. However slow Milvus is, they wait: to send all of them would not help it.
            control.label(key.is_eventual, (guarantee, true), terms, now)
        };
        match label {
            Ok(label) => {
                let generation = control.generation.number();
                let hedge_after = control.paces.hedge_after(place);
                drop(control);
                if let Some(flight) = shard.flights.get(&key, self.flight) {
                    flight.stage = Stage::Sent(label, generation);
                }
                drop(shard);
                self.count(Word::Miss);
                let (pool, subject) = (Arc::clone(&self.pool), self.subject.clone());
                let flight = self.flight;
                let (is_wanted, new) = (true, None);
                let sending = Sending { flight, label, generation, hedge_after, is_wanted, new };
                Outcome::Lead(Fill::new(pool, subject, sending))
            }
            Err(reason) => {
                drop(control);
                shard.flights.end(&key, self.flight, &Standing::Forwarded(reason));
                drop(shard);
                self.count(Word::Bypass(reason));
                Outcome::Forward(reason)
            }
        }
    }

    fn count(&self, word: Word) {
        self.pool.count(word);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.pool.unpark(self.follower.bytes);
        if self.leads {
            // It is woken no more.
            self.follower.close();
            return;
        }
        let key = &self.subject.key;
        self.pool.shard(key).flights.leave(key, self.flight, &self.follower);
    }
}

impl Watch {
    pub fn new(pool: Arc<Pool>, place: Place) -> Self {
        Self { pool, place, sent: None }
    }

    /// It is sent, after it has waited for its turn. Only the first time counts.
    pub fn sent(&mut self, now: BootTime) {
        self.sent.get_or_insert(now);
    }

    /// Milvus begins to answer.
    pub fn answering(self, now: BootTime) {
        if let Some(sent) = self.sent {
            self.pool.control().paces.learn(self.place, now.since(sent), now);
        }
    }
}
