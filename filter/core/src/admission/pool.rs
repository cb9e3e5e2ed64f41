//! How many calls a pool gets at a time, and which calls wait until when.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::admission::cost::Costs;
use crate::admission::lane::{Lane, Order, Running};
use crate::alarm::{self, Alarmed};
use crate::host::wake::Wake;

pub use crate::admission::lane::{Ask, Denied, Most};

/// Reads and writes have limits of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    Reads,
    Writes,
}

/// What a route's configuration says of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub reads: Most,
    pub writes: Most,
    /// The longest time that a call waits.
    pub wait: Duration,
    /// The most bytes that wait.
    pub queued_bytes: u64,
}

/// A pool of endpoints.
#[derive(Debug)]
pub struct Pool {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    costs: Costs,
    reads: Lane,
    writes: Lane,
    calls: u64,
}

/// When a call has its turn.
#[derive(Debug)]
pub enum Turn {
    Now(Seat),
    Later(Place),
}

/// What has become of a call that waits.
#[derive(Debug)]
pub enum Waited {
    /// It has its turn, after so long.
    Until(Seat, Duration),
    Denied(Denied),
    /// It waits.
    Still(Place),
}

impl Pool {
    pub fn new(now: Instant) -> Self {
        let state = State {
            costs: Costs::default(),
            reads: Lane::new(Order::NewestFirstWhenLate, now),
            // A client may send writes that build on each other without waiting for the answers.
            writes: Lane::new(Order::FirstInFirstOut, now),
            calls: 0,
        };
        Self { state: Mutex::new(state) }
    }

    /// Lets a call in, now or later, or refuses it. `waker` is asked for where it has to wait.
    pub fn enter(
        self: &Arc<Self>,
        direction: Direction,
        ask: Ask,
        terms: Terms,
        now: Instant,
        waker: impl FnOnce() -> Box<dyn Wake>,
    ) -> Result<Turn, Denied> {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.calls += 1;
        let number = state.calls;
        let cost = state.costs.of(ask.collection, ask.class);
        let other_bytes = state.lane(direction.other()).bytes();
        let lane = state.lane(direction);
        lane.most = match direction {
            Direction::Reads => terms.reads,
            Direction::Writes => terms.writes,
        };
        lane.queue(number, ask, cost, terms.wait, now);
        lane.serve(now);
        if let Some(due) = lane.collect(number) {
            return Ok(Turn::Now(self.seat(direction, due?, now)));
        }
        lane.shed(terms.queued_bytes.saturating_sub(other_bytes));
        if let Some(due) = lane.collect(number) {
            return Ok(Turn::Now(self.seat(direction, due?, now)));
        }
        let deadline = lane.deadline(number).unwrap_or(now);
        let alarm = lane.opens(now).map_or(deadline, |opens| opens.min(deadline));
        if deadline <= now || !alarm::set(alarm) {
            lane.leave(number);
            return Err(Denied::Waited);
        }
        lane.set_waker(number, waker());
        let pool = Arc::clone(self);
        Ok(Turn::Later(Place { pool, direction, number, since: now, open: true }))
    }

    fn seat(self: &Arc<Self>, direction: Direction, due: Running, now: Instant) -> Seat {
        Seat { pool: Arc::clone(self), direction, due, began: now, open: true }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Alarmed for Pool {
    fn ring(&self, now: Instant) -> Option<Instant> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let deadlines = [state.reads.expire(now), state.writes.expire(now)];
        state.reads.serve(now);
        state.writes.serve(now);
        let opens = [state.reads.opens(now), state.writes.opens(now)];
        deadlines.into_iter().chain(opens).flatten().min()
    }
}

impl State {
    fn lane(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::Reads => &mut self.reads,
            Direction::Writes => &mut self.writes,
        }
    }
}

impl Direction {
    fn other(self) -> Self {
        match self {
            Self::Reads => Self::Writes,
            Self::Writes => Self::Reads,
        }
    }
}

/// A call that Milvus works on, until it is dropped or `leave` is called.
#[derive(Debug)]
pub struct Seat {
    pool: Arc<Pool>,
    direction: Direction,
    due: Running,
    began: Instant,
    open: bool,
}

impl Seat {
    /// The call has been answered: what it took is learned, and the next one has its turn.
    pub fn leave(mut self, now: Instant) {
        let took = now.saturating_duration_since(self.began);
        self.close(Some(took), now);
    }

    fn close(&mut self, took: Option<Duration>, now: Instant) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        let mut state = self.pool.lock();
        if let Some(took) = took {
            state.costs.learn(self.due.collection, self.due.class, took);
        }
        let lane = state.lane(self.direction);
        lane.finish(self.due, took, now);
        if let Some(opens) = lane.opens(now) {
            alarm::set(opens);
        }
    }
}

impl Drop for Seat {
    /// The call ended in another way. How long that took says nothing of its cost.
    fn drop(&mut self) {
        self.close(None, Instant::now());
    }
}

/// A call that waits, until it is dropped or `look` says what has become of it.
#[derive(Debug)]
pub struct Place {
    pool: Arc<Pool>,
    direction: Direction,
    number: u64,
    since: Instant,
    open: bool,
}

impl Place {
    pub fn look(mut self, now: Instant) -> Waited {
        let Some(due) = self.collect() else { return Waited::Still(self) };
        self.open = false;
        match due {
            Err(denied) => Waited::Denied(denied),
            Ok(due) => {
                let seat = self.pool.seat(self.direction, due, now);
                Waited::Until(seat, now.saturating_duration_since(self.since))
            }
        }
    }

    fn collect(&self) -> Option<Result<Running, Denied>> {
        let mut state = self.pool.lock();
        state.lane(self.direction).collect(self.number)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        // Under one lock: between two, another thread might give the call its turn.
        let mut state = self.pool.lock();
        let lane = state.lane(self.direction);
        if let Some(Ok(due)) = lane.leave(self.number) {
            lane.finish(due, None, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
