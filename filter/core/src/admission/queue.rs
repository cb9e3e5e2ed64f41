//! Deficit round robin (Shreedhar and Varghese, 1995): each member gets the same share of cost, whatever its calls cost.
//!
//! Members may be queues with members themselves: first users share, then the collections of a user.

use std::collections::BTreeMap;

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
}

/// Calls that wait, in an order.
pub trait Backlog: Default {
    /// The names that lead to a line.
    type Path: Copy;

    fn push(&mut self, path: Self::Path, call: Call);

    /// The cost of the next call of a line that `may` have a turn.
    fn next_cost(&self, may: &dyn Fn(Key) -> bool) -> Option<f64>;

    /// Removes the next call of a line that `may` have a turn.
    fn pop(&mut self, may: &dyn Fn(Key) -> bool) -> Option<Call>;

    fn remove(&mut self, path: Self::Path, number: u64) -> Option<Call>;

    fn bytes(&self) -> u64;

    /// The newest call of the member with the most bytes.
    fn heaviest(&self) -> Option<(Self::Path, u64)>;

    fn is_empty(&self) -> bool;
}

/// The calls of one collection of one user, first in, first out.
#[derive(Debug, Default)]
pub struct Line {
    calls: BTreeMap<u64, Call>,
    bytes: u64,
    /// What `may` is asked about.
    name: Option<Key>,
}

impl Backlog for Line {
    type Path = Key;

    fn push(&mut self, name: Key, call: Call) {
        self.name = Some(name);
        self.bytes += call.bytes;
        self.calls.insert(call.number, call);
    }

    fn next_cost(&self, may: &dyn Fn(Key) -> bool) -> Option<f64> {
        let (_, call) = self.calls.first_key_value()?;
        may(self.name?).then_some(call.cost)
    }

    fn pop(&mut self, may: &dyn Fn(Key) -> bool) -> Option<Call> {
        let (&number, _) = self.calls.first_key_value()?;
        if may(self.name?) {
            self.remove(self.name?, number)
        } else {
            None
        }
    }

    fn remove(&mut self, _: Key, number: u64) -> Option<Call> {
        let call = self.calls.remove(&number)?;
        self.bytes -= call.bytes;
        Some(call)
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
    fn turn(&self, may: &dyn Fn(Key) -> bool) -> Option<(Key, f64, f64)> {
        let rounds = |(name, member): (&Key, &Member<B>)| {
            let cost = member.backlog.next_cost(may)?;
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

    fn next_cost(&self, may: &dyn Fn(Key) -> bool) -> Option<f64> {
        self.turn(may).map(|(_, _, cost)| cost)
    }

    fn pop(&mut self, may: &dyn Fn(Key) -> bool) -> Option<Call> {
        let (name, rounds, cost) = self.turn(may)?;
        for member in self.members.values_mut() {
            member.deficit += rounds * QUANTUM;
        }
        self.at = Some(name);
        let member = self.members.get_mut(&name)?;
        member.deficit -= cost;
        let call = member.backlog.pop(may);
        self.taken(name, call)
    }

    fn remove(&mut self, (name, path): Self::Path, number: u64) -> Option<Call> {
        let call = self.members.get_mut(&name)?.backlog.remove(path, number);
        self.taken(name, call)
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
