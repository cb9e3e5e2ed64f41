//! What a call costs Milvus, learned from the time that such calls took.

use std::time::Duration;

use crate::admission::key::Key;

/// How fast a new time replaces what was learned.
const WEIGHT: f64 = 0.1;
const KINDS: usize = 4;
const SIZES: usize = 40;
const CLASSES: usize = KINDS * SIZES * 4;
/// Places for classes of single collections. Two that share a place replace each other.
const PLACES: usize = 4096;
/// What a call costs of which nothing is known, in seconds.
const UNKNOWN: f64 = 0.001;

/// Calls that cost about the same in one collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Class(usize);

impl Class {
    /// The class of a call of one of 4 kinds, with so many results (query vectors times rows), with strong consistency
    /// or not, with output fields or not.
    pub fn new(kind: usize, results: u64, strong: bool, output: bool) -> Self {
        let size = (u64::BITS - results.leading_zeros()) as usize;
        let flags = usize::from(strong) * 2 + usize::from(output);
        Self(((kind.min(KINDS - 1) * 4) + flags) * SIZES + size.min(SIZES - 1))
    }

    /// The same but with half the results.
    fn smaller(self) -> Option<Self> {
        (self.0 % SIZES > 0).then(|| Self(self.0 - 1))
    }
}

/// What was learned.
#[derive(Debug)]
pub struct Costs {
    /// In seconds; 0 is unknown.
    by_class: Vec<f64>,
    by_collection: Vec<Option<(Key, f64)>>,
}

impl Default for Costs {
    fn default() -> Self {
        Self { by_class: vec![0.0; CLASSES], by_collection: vec![None; PLACES] }
    }
}

impl Costs {
    /// The time that a call of this class will take, in seconds.
    pub fn of(&self, collection: Option<Key>, class: Class) -> f64 {
        if let Some(name) = collection.map(|collection| Key::of((collection, class))) {
            match self.by_collection[name.place(PLACES)] {
                Some((key, cost)) if key == name => return cost,
                _ => {}
            }
        }
        let known = |class: &Class| self.by_class[class.0] > 0.0;
        let nearest = std::iter::successors(Some(class), |class| class.smaller()).find(known);
        nearest.map_or(UNKNOWN, |class| self.by_class[class.0])
    }

    /// Learns that a call took so long.
    pub fn learn(&mut self, collection: Option<Key>, class: Class, took: Duration) {
        let took = took.as_secs_f64().max(1e-6);
        let cost = &mut self.by_class[class.0];
        *cost = if *cost > 0.0 { average(*cost, took) } else { took };
        let Some(name) = collection.map(|collection| Key::of((collection, class))) else { return };
        let place = &mut self.by_collection[name.place(PLACES)];
        *place = match *place {
            Some((key, cost)) if key == name => Some((name, average(cost, took))),
            _ => Some((name, took)),
        };
    }
}

fn average(cost: f64, took: f64) -> f64 {
    cost + WEIGHT * (took - cost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_learned_by_class_and_by_collection() {
        let mut costs = Costs::default();
        let (small, large) =
            (Class::new(0, 10, false, false), Class::new(0, 100_000, false, false));
        let (a, b) = (Some(Key::of("a")), Some(Key::of("b")));
        for _ in 0..100 {
            costs.learn(a, small, Duration::from_millis(2));
            costs.learn(b, small, Duration::from_millis(20));
            costs.learn(a, large, Duration::from_millis(300));
        }

        assert!((costs.of(a, small) - 0.002).abs() < 1e-6);
        assert!((costs.of(b, small) - 0.020).abs() < 1e-6);
        assert!((costs.of(a, large) - 0.300).abs() < 1e-6);
        // Of a collection that is new, the class is known; of a class that is new, the next smaller one.
        assert!((0.002..0.020).contains(&costs.of(Some(Key::of("c")), small)));
        assert!((0.002..0.020).contains(&costs.of(None, Class::new(0, 20, false, false))));
        assert!((costs.of(None, Class::new(1, 10, false, false)) - UNKNOWN).abs() < 1e-9);
    }

    #[test]
    fn every_class_has_a_place() {
        let mut costs = Costs::default();
        for kind in [0, 3, usize::MAX] {
            for results in [0, 1, 1 << 20, u64::MAX] {
                costs.learn(None, Class::new(kind, results, true, true), Duration::ZERO);
            }
        }
    }

    #[test]
    fn an_average_follows_a_change() {
        let (mut costs, class) = (Costs::default(), Class::new(0, 1, false, false));
        costs.learn(None, class, Duration::from_secs(1));
        for _ in 0..60 {
            costs.learn(None, class, Duration::from_millis(10));
        }

        assert!((0.010..0.013).contains(&costs.of(None, class)), "{}", costs.of(None, class));
    }

    #[test]
    fn one_slow_call_of_a_collection_moves_its_cost_by_a_tenth() {
        let (mut costs, class, a) =
            (Costs::default(), Class::new(0, 1, false, false), Some(Key::of("a")));
        costs.learn(a, class, Duration::from_millis(10));
        costs.learn(a, class, Duration::from_millis(110));

        assert!((costs.of(a, class) - 0.020).abs() < 1e-9, "{}", costs.of(a, class));
    }
}
