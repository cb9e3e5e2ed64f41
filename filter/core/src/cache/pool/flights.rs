//! Reads that were sent to Milvus, and the same reads that wait for their answers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::cache::pool::entries::{EntryKey, Label};
use crate::cache::question::glance::Asker;
use crate::cache::question::keyed_hash::DigestMap;
use crate::cache::reason::Reason;
use crate::host::clock::BootTime;
use crate::host::wake::Wake;

/// What has become of a follower.
#[derive(Clone, Debug)]
pub enum Standing {
    Waits,
    /// The answer, and its label.
    Answered(Arc<[u8]>, Label),
    /// It is sent itself, and the others wait for it.
    Promoted,
    /// It is sent as it is.
    Forwarded(Reason),
    /// Its own deadline has passed.
    Expired,
}

/// A read that waits.
#[derive(Debug)]
pub struct Follower {
    pub number: u64,
    pub until: Instant,
    /// Whether `until` is its own deadline.
    pub is_own: bool,
    /// What is held of its request.
    pub bytes: u64,
    state: Mutex<State>,
}

struct State {
    standing: Standing,
    /// None once it is no longer there to be woken.
    waker: Option<Box<dyn Wake>>,
}

/// A read that was sent.
#[derive(Debug)]
pub struct Flight {
    pub number: u64,
    pub stage: Stage,
    /// When it was sent; None while it waits for its turn.
    pub sent: Option<BootTime>,
    /// The greatest guarantee of all its reads.
    pub guarantee: u64,
    /// The asker, if the question is new and has not been repeated.
    pub new: Option<Asker>,
    followers: VecDeque<Arc<Follower>>,
}

#[derive(Debug)]
pub enum Stage {
    /// With the label of its answer and the generation at its send.
    Sent(Label, u64),
    /// A follower was promoted and is about to be sent.
    Promised,
}

#[derive(Debug, Default)]
pub struct Flights {
    by_key: DigestMap<EntryKey, Vec<Flight>>,
    /// When each follower stops waiting, by its number, and for what it waits.
    deadlines: BTreeMap<(Instant, u64), EntryKey>,
    numbers: u64,
}

impl Flights {
    /// Adds a read that is about to be sent.
    pub fn begin(
        &mut self,
        key: EntryKey,
        label: Label,
        generation: u64,
        guarantee: u64,
        new: Option<Asker>,
    ) -> u64 {
        self.numbers += 1;
        let (number, stage) = (self.numbers, Stage::Sent(label, generation));
        let followers = VecDeque::new();
        let flight = Flight { number, stage, sent: None, guarantee, new, followers };
        self.by_key.entry(key).or_default().push(flight);
        number
    }

    /// The newest flight that a read `may` join.
    pub fn find(&mut self, key: &EntryKey, may: impl Fn(&Flight) -> bool) -> Option<&mut Flight> {
        self.by_key.get_mut(key)?.iter_mut().rev().find(|flight| may(flight))
    }

    pub fn get(&mut self, key: &EntryKey, number: u64) -> Option<&mut Flight> {
        self.find(key, |flight| flight.number == number)
    }

    /// Lets a read with this guarantee wait for a flight.
    pub fn join(
        &mut self,
        key: EntryKey,
        number: u64,
        guarantee: u64,
        follower: impl FnOnce(u64) -> Follower,
    ) -> Option<Arc<Follower>> {
        self.numbers += 1;
        let follower = Arc::new(follower(self.numbers));
        let flight = self.get(&key, number)?;
        flight.guarantee = flight.guarantee.max(guarantee);
        flight.followers.push_back(Arc::clone(&follower));
        self.deadlines.insert((follower.until, follower.number), key);
        Some(follower)
    }

    /// Removes a flight, and lets `standing` become of all that wait for it.
    pub fn end(&mut self, key: &EntryKey, number: u64, standing: &Standing) {
        for follower in self.remove(key, number) {
            self.deadlines.remove(&(follower.until, follower.number));
            follower.stand(standing.clone());
        }
    }

    /// Promotes the first follower, or removes the flight if there is none.
    pub fn promote(&mut self, key: &EntryKey, number: u64) {
        let Some(flight) = self.get(key, number) else { return };
        flight.stage = Stage::Promised;
        flight.sent = None;
        match flight.followers.pop_front() {
            None => drop(self.remove(key, number)),
            Some(follower) => {
                self.deadlines.remove(&(follower.until, follower.number));
                follower.stand(Standing::Promoted);
            }
        }
    }

    /// A follower is no longer there. If it was promoted, the next one is.
    pub fn leave(&mut self, key: &EntryKey, number: u64, follower: &Follower) {
        self.deadlines.remove(&(follower.until, follower.number));
        match follower.close() {
            Standing::Waits => {
                if let Some(flight) = self.get(key, number) {
                    flight.followers.retain(|each| each.number != follower.number);
                }
            }
            Standing::Promoted => self.promote(key, number),
            Standing::Answered(..) | Standing::Forwarded(_) | Standing::Expired => {}
        }
    }

    /// Ends the waiting of those whose time is over, and returns when the next one's is.
    pub fn expire(&mut self, now: Instant) -> Option<Instant> {
        while let Some((&(until, number), &key)) = self.deadlines.first_key_value() {
            if until > now {
                return Some(until);
            }
            self.deadlines.pop_first();
            for flight in self.by_key.get_mut(&key).into_iter().flatten() {
                let place = flight.followers.iter().position(|each| each.number == number);
                if let Some(follower) = place.and_then(|place| flight.followers.remove(place)) {
                    follower.stand(match follower.is_own {
                        true => Standing::Expired,
                        false => Standing::Forwarded(Reason::Waited),
                    });
                    break;
                }
            }
        }
        None
    }

    fn remove(&mut self, key: &EntryKey, number: u64) -> VecDeque<Arc<Follower>> {
        let Some(flights) = self.by_key.get_mut(key) else { return VecDeque::new() };
        let place = flights.iter().position(|flight| flight.number == number);
        let followers = place.map(|place| flights.remove(place).followers);
        if flights.is_empty() {
            self.by_key.remove(key);
        }
        followers.unwrap_or_default()
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty() && self.deadlines.is_empty()
    }
}

impl Flight {
    /// The guarantee of a read for which Milvus may wait until its time is there; 0: the answer has a label of a second ago.
    pub fn waits_for(&self) -> u64 {
        match self.stage {
            Stage::Sent(label, _) if self.guarantee >= label.upto => label.upto,
            _ => 0,
        }
    }

    /// How many reads wait for it.
    pub fn waiting(&self) -> usize {
        self.followers.len()
    }

    /// Whether reads wait for it.
    pub fn is_joined(&self) -> bool {
        !self.followers.is_empty()
    }
}

impl Follower {
    pub fn new(
        number: u64,
        until: Instant,
        is_own: bool,
        bytes: u64,
        waker: Box<dyn Wake>,
    ) -> Self {
        let state = State { standing: Standing::Waits, waker: Some(waker) };
        Self { number, until, is_own, bytes, state: Mutex::new(state) }
    }

    pub fn standing(&self) -> Standing {
        self.lock().standing.clone()
    }

    /// Changes what becomes of it and wakes it. Its stream exists: `close` takes the same lock.
    fn stand(&self, standing: Standing) {
        let mut state = self.lock();
        state.standing = standing;
        if let Some(waker) = &state.waker {
            waker.wake();
        }
    }

    /// Its read is gone, so it is not woken from now on.
    pub fn close(&self) -> Standing {
        let mut state = self.lock();
        state.waker = None;
        state.standing.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("standing", &self.standing).finish_non_exhaustive()
    }
}
