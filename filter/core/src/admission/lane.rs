//! The calls of one kind at one pool: those that Milvus works on, and those that wait.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::{Duration, Instant};

use crate::admission::cost::Class;
use crate::admission::gradient::Gradient;
use crate::admission::key::Key;
use crate::admission::queue::{Backlog, Call, Line, Pick, Ring};
use crate::admission::strain::{late_after, yields_after, Strain};
use crate::host::wake::Wake;

/// What a stream that waits takes beside its body, in bytes.
const OVERHEAD: u64 = 4096;
/// For how long places are kept free for others once they have been seen.
const CONTENDED: Duration = Duration::from_secs(10);
/// One place in so many is kept free for users that have none, but at least one of two.
const RESERVE: u64 = 8;

/// How many calls may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Most {
    Unlimited,
    Fixed(u64),
    /// As many as keep their latency low.
    Adaptive,
}

/// A call that wants to run.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// Who shares with others: a user.
    pub tenant: Key,
    /// Who shares with others of the tenant: a collection of the user.
    pub flow: Key,
    /// The collection, for what it costs.
    pub collection: Option<Key>,
    pub class: Class,
    /// Bytes of the request that have arrived.
    pub bytes: u64,
    /// When its client gives up.
    pub deadline: Option<Instant>,
}

/// Why a call that waited is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It has waited as long as it may.
    Waited,
    /// Too many bytes wait, most of them of the same user.
    Full,
}

/// A call that has been admitted and runs; given back when it ends.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    pub class: Class,
    pub collection: Option<Key>,
    flow: Key,
    /// How many ran when it began, itself included.
    running: u64,
}

struct Waiting {
    ask: Ask,
    since: Instant,
    /// The longest time that calls wait here.
    wait: Duration,
    /// After how long it is late.
    late_after: Duration,
    /// When it is refused.
    deadline: Instant,
    waker: Option<Box<dyn Wake>>,
    /// What it has not seen yet.
    fate: Option<Result<Running, Denied>>,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.ask, self.fate)
    }
}

/// The order of the calls of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    FirstInFirstOut,
    /// The newest first once the oldest has waited for long. While the line is strained, a call that is late is refused.
    NewestFirstWhenLate,
}

#[derive(Debug)]
pub struct Lane {
    pub most: Most,
    order: Order,
    gradient: Gradient,
    running: u64,
    /// Of each flow that has any.
    running_of: HashMap<Key, u64>,
    queue: Ring<Ring<Line>>,
    /// By their numbers. Those with a fate are in the queue no longer.
    waiting: HashMap<u64, Waiting>,
    /// Of those in the queue.
    deadlines: BTreeSet<(Instant, u64)>,
    strain: Strain,
    last: Option<Key>,
    contended: Option<Instant>,
}

impl Lane {
    pub fn new(order: Order, now: Instant) -> Self {
        Self {
            most: Most::Unlimited,
            order,
            gradient: Gradient::new(now),
            running: 0,
            running_of: HashMap::new(),
            queue: Ring::default(),
            waiting: HashMap::new(),
            deadlines: BTreeSet::new(),
            strain: Strain::default(),
            last: None,
            contended: None,
        }
    }

    /// The bytes that wait.
    pub fn bytes(&self) -> u64 {
        self.queue.bytes()
    }

    /// Has a call wait for at most `wait`.
    pub fn queue(&mut self, number: u64, ask: Ask, cost: f64, wait: Duration, now: Instant) {
        if self.last.replace(ask.flow).is_some_and(|last| last != ask.flow) {
            self.contended = Some(now);
        }
        let bytes = ask.bytes.saturating_add(OVERHEAD);
        let late_after = late_after(cost, wait);
        let is_strained = self.strain.holds(ask.flow, now);
        let yields_from = match self.order {
            Order::FirstInFirstOut => None,
            Order::NewestFirstWhenLate if is_strained => Some(now),
            Order::NewestFirstWhenLate => Some(now + yields_after(late_after, wait)),
        };
        self.queue.push(path(ask), Call { number, cost, bytes, yields_from });
        let granted = now + if is_strained { late_after } else { wait };
        let deadline = ask.deadline.map_or(granted, |deadline| deadline.min(granted));
        self.deadlines.insert((deadline, number));
        let (since, waker, fate) = (now, None, None);
        let waiting = Waiting { ask, since, wait, late_after, deadline, waker, fate };
        self.waiting.insert(number, waiting);
    }

    /// When a call that waits is refused.
    pub fn deadline(&self, number: u64) -> Option<Instant> {
        self.waiting.get(&number).map(|waiting| waiting.deadline)
    }

    /// Refuses the calls that have waited as long as they may, and returns when others will have.
    pub fn expire(&mut self, now: Instant) -> Option<Instant> {
        while let Some(&(deadline, number)) = self.deadlines.first() {
            if deadline > now {
                return Some(deadline);
            }
            let clients = self.waiting.get(&number).and_then(|waiting| waiting.ask.deadline);
            self.deny(number, Denied::Waited);
            if clients != Some(deadline) {
                self.strains(number, now);
            }
        }
        None
    }

    /// A call that has been refused shows that its line has more calls than it gets turns.
    fn strains(&mut self, number: u64, now: Instant) {
        let Some(&Waiting { ask, wait, .. }) = self.waiting.get(&number) else { return };
        if self.order == Order::FirstInFirstOut || !self.strain.refused(ask.flow, wait, now) {
            return;
        }
        for number in self.queue.yield_all(path(ask), now) {
            let Some(waiting) = self.waiting.get_mut(&number) else { continue };
            self.deadlines.remove(&(waiting.deadline, number));
            waiting.deadline = waiting.deadline.min(waiting.since + waiting.late_after);
            self.deadlines.insert((waiting.deadline, number));
        }
    }

    pub fn set_waker(&mut self, number: u64, waker: Box<dyn Wake>) {
        if let Some(waiting) = self.waiting.get_mut(&number) {
            waiting.waker = Some(waker);
        }
    }

    /// Gives turns to those that wait, while there is room.
    pub fn serve(&mut self, now: Instant) {
        let most = match self.most {
            Most::Unlimited => u64::MAX,
            Most::Fixed(most) => most,
            Most::Adaptive => self.gradient.limit(now),
        };
        let contended =
            self.contended.is_some_and(|at| now.saturating_duration_since(at) < CONTENDED);
        let reserve = if contended && most >= 2 { (most / RESERVE).max(1) } else { 0 };
        while self.running < most {
            let (running_of, open) = (&self.running_of, self.running < most - reserve);
            let may = |flow: Key| open || !running_of.contains_key(&flow);
            let Some(call) = self.queue.pop(&Pick { now, may: &may }) else { break };
            let Some(waiting) = self.waiting.get_mut(&call.number) else { continue };
            self.deadlines.remove(&(waiting.deadline, call.number));
            self.running += 1;
            *self.running_of.entry(waiting.ask.flow).or_default() += 1;
            let Ask { class, collection, flow, .. } = waiting.ask;
            waiting.decide(Ok(Running { class, collection, flow, running: self.running }));
        }
        if self.queue.is_empty() && self.running < most - reserve {
            self.strain.ends();
        }
    }

    /// When calls that wait may have a turn although none has ended: a probe of the limit is over.
    pub fn opens(&self, now: Instant) -> Option<Instant> {
        let waits = self.most == Most::Adaptive && !self.queue.is_empty();
        waits.then(|| self.gradient.probes_until(now))?
    }

    /// Refuses calls until no more than `most` bytes wait: the newest ones of the user with the most.
    pub fn shed(&mut self, most: u64) {
        while self.queue.bytes() > most {
            let Some((_, number)) = self.queue.heaviest() else { return };
            self.deny(number, Denied::Full);
        }
    }

    /// Refuses a call if it waits.
    pub fn deny(&mut self, number: u64, denied: Denied) {
        let Some(waiting) = self.waiting.get_mut(&number) else { return };
        if self.queue.remove(path(waiting.ask), number).is_some() {
            self.deadlines.remove(&(waiting.deadline, number));
            waiting.decide(Err(denied));
        }
    }

    /// The fate of a call, once; None while it waits.
    pub fn collect(&mut self, number: u64) -> Option<Result<Running, Denied>> {
        let fate = self.waiting.get(&number)?.fate?;
        self.waiting.remove(&number);
        Some(fate)
    }

    /// Forgets a call, and says what its fate was. A call that had its turn runs until `finish`.
    pub fn leave(&mut self, number: u64) -> Option<Result<Running, Denied>> {
        let waiting = self.waiting.remove(&number)?;
        self.deadlines.remove(&(waiting.deadline, number));
        self.queue.remove(path(waiting.ask), number);
        waiting.fate
    }

    /// A call has run. `took` is how long it took, if that says something.
    pub fn finish(&mut self, due: Running, took: Option<Duration>, now: Instant) {
        self.running = self.running.saturating_sub(1);
        if let Some(running) = self.running_of.get_mut(&due.flow) {
            *running -= 1;
            if *running == 0 {
                self.running_of.remove(&due.flow);
            }
        }
        if let (Some(took), Most::Adaptive) = (took, self.most) {
            self.gradient.learn(due.class, took, due.running, now);
        }
        self.serve(now);
    }
}

impl Waiting {
    fn decide(&mut self, fate: Result<Running, Denied>) {
        self.fate = Some(fate);
        if let Some(waker) = &self.waker {
            waker.wake();
        }
    }
}

fn path(ask: Ask) -> (Key, (Key, Key)) {
    (ask.tenant, (ask.flow, ask.flow))
}

#[cfg(test)]
impl Lane {
    /// How many calls run, how many wait or have a fate that they have not seen, and how many of them have a deadline.
    pub fn counts(&self) -> (u64, usize, usize) {
        assert_eq!(self.running, self.running_of.values().sum::<u64>());
        (self.running, self.waiting.len(), self.deadlines.len())
    }
}
