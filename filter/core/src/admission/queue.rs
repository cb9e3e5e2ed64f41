//! Deficit round robin (Shreedhar and Varghese, 1995): each member gets the same share of cost, whatever its calls cost.
//!
//! Members may be queues with members themselves: first users share, then the collections of a user.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::admission::key::Key;

/// What each member gets in a round, in seconds of cost. It is small: rounds in which no member has enough are skipped.
const QUANTUM: f64 = 0.001;

/// A call that waits.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Later calls have larger numbers.
    pub number: u64,
    /// In seconds.
    pub cost: f64,
    pub bytes: u64,
    /// From when on newer calls of its line come before it; None: never.
    pub yields_from: Option<Instant>,
}

/// Which calls may have a turn.
pub struct Pick<'a> {
    pub now: Instant,
    /// Whether a line with this name may have a turn.
    pub may: &'a dyn Fn(Key) -> bool,
}

/// Calls that wait, in an order.
pub trait Backlog: Default {
    /// The names that lead to a line.
    type Path: Copy;

    fn push(&mut self, path: Self::Path, call: Call);

    /// The cost of the next call that may have a turn.
    fn next_cost(&self, pick: &Pick<'_>) -> Option<f64>;

    /// Removes the next call that may have a turn.
    fn pop(&mut self, pick: &Pick<'_>) -> Option<Call>;

    fn remove(&mut self, path: Self::Path, number: u64) -> Option<Call>;

    /// Has all calls of a line yield, and returns their numbers.
    fn yield_all(&mut self, path: Self::Path, now: Instant) -> Vec<u64>;

    fn bytes(&self) -> u64;

    /// The newest call of the member with the most bytes.
    fn heaviest(&self) -> Option<(Self::Path, u64)>;

    fn is_empty(&self) -> bool;
}

/// The calls of one collection of one user: first in, first out, until the first one yields. Then the last one comes first.
#[derive(Debug, Default)]
pub struct Line {
    calls: BTreeMap<u64, Call>,
    bytes: u64,
    /// What `Pick::may` is asked about.
    name: Option<Key>,
}

impl Line {
    fn next(&self, pick: &Pick<'_>) -> Option<Call> {
        let (_, &oldest) = self.calls.first_key_value()?;
        let (_, &newest) = self.calls.last_key_value()?;
        let yields = oldest.yields_from.is_some_and(|from| from <= pick.now);
        (pick.may)(self.name?).then_some(if yields { newest } else { oldest })
    }
}

impl Backlog for Line {
    type Path = Key;

    fn push(&mut self, name: Key, call: Call) {
        self.name = Some(name);
        self.bytes += call.bytes;
        self.calls.insert(call.number, call);
    }

    fn next_cost(&self, pick: &Pick<'_>) -> Option<f64> {
        self.next(pick).map(|call| call.cost)
    }

    fn pop(&mut self, pick: &Pick<'_>) -> Option<Call> {
        self.remove(self.name?, self.next(pick)?.number)
    }

    fn remove(&mut self, _: Key, number: u64) -> Option<Call> {
        let call = self.calls.remove(&number)?;
        self.bytes -= call.bytes;
        Some(call)
    }

    fn yield_all(&mut self, _: Key, now: Instant) -> Vec<u64> {
        self.calls.values_mut().for_each(|call| call.yields_from = Some(now));
        self.calls.keys().copied().collect()
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn heaviest(&self) -> Option<(Key, u64)> {
        let (&number, _) = self.calls.last_key_value()?;
        Some((self.name?, number))
    }

    fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}

/// Members that take turns.
#[derive(Debug)]
pub struct Ring<B> {
    members: BTreeMap<Key, Member<B>>,
    /// Who had the last turn.
    at: Option<Key>,
    bytes: u64,
}

#[derive(Debug, Default)]
struct Member<B> {
    /// What it may spend. It is forgotten when nothing waits: a member cannot save.
    deficit: f64,
    backlog: B,
}

impl<B> Default for Ring<B> {
    fn default() -> Self {
        Self { members: BTreeMap::new(), at: None, bytes: 0 }
    }
}

impl<B: Backlog> Ring<B> {
    /// Whose turn it is, the rounds until then, and the cost of the call.
    fn turn(&self, pick: &Pick<'_>) -> Option<(Key, f64, f64)> {
        let rounds = |(name, member): (&Key, &Member<B>)| {
            let cost = member.backlog.next_cost(pick)?;
            Some((*name, ((cost - member.deficit) / QUANTUM).ceil().max(0.0), cost))
        };
        // From the member of the last turn on: it goes on while its deficit lasts.
        let (before, after): (Vec<_>, Vec<_>) =
            self.members.iter().filter_map(rounds).partition(|(name, ..)| Some(*name) < self.at);
        let in_order = after.into_iter().chain(before);
        in_order.reduce(|best, next| if next.1 < best.1 { next } else { best })
    }

    fn taken(&mut self, name: Key, call: Option<Call>) -> Option<Call> {
        self.bytes -= call?.bytes;
        if self.members.get(&name).is_some_and(|member| member.backlog.is_empty()) {
            self.members.remove(&name);
        }
        call
    }
}

impl<B: Backlog> Backlog for Ring<B> {
    type Path = (Key, B::Path);

    fn push(&mut self, (name, path): Self::Path, call: Call) {
        self.bytes += call.bytes;
        self.members.entry(name).or_default().backlog.push(path, call);
    }

    fn next_cost(&self, pick: &Pick<'_>) -> Option<f64> {
        self.turn(pick).map(|(_, _, cost)| cost)
    }

    fn pop(&mut self, pick: &Pick<'_>) -> Option<Call> {
        let (name, rounds, cost) = self.turn(pick)?;
        for member in self.members.values_mut() {
            member.deficit += rounds * QUANTUM;
        }
        self.at = Some(name);
        let member = self.members.get_mut(&name)?;
        member.deficit -= cost;
        let call = member.backlog.pop(pick);
        self.taken(name, call)
    }

    fn remove(&mut self, (name, path): Self::Path, number: u64) -> Option<Call> {
        let call = self.members.get_mut(&name)?.backlog.remove(path, number);
        self.taken(name, call)
    }

    fn yield_all(&mut self, (name, path): Self::Path, now: Instant) -> Vec<u64> {
        let member = self.members.get_mut(&name);
        member.map(|member| member.backlog.yield_all(path, now)).unwrap_or_default()
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn heaviest(&self) -> Option<(Self::Path, u64)> {
        let (name, member) = self.members.iter().max_by_key(|(_, each)| each.backlog.bytes())?;
        let (path, number) = member.backlog.heaviest()?;
        Some(((*name, path), number))
    }

    fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

#[cfg(test)]
mod tests;
