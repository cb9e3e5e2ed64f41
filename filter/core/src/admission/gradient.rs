//! A limit of concurrent calls that follows their latency, as the gradient controller of Envoy's adaptive concurrency.
//!
//! A call's time is compared with the shortest that calls of its class took while few ran, so a change in what is asked
//! does not look like load.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::admission::cost::Class;

const LEAST: f64 = 2.0;
const MOST: f64 = 1000.0;
/// Where it begins.
const FIRST: f64 = 8.0;
/// How much longer than the shortest time is no sign of load.
const TOLERANCE: f64 = 1.25;
/// How often the limit is set, at most.
const STEP: Duration = Duration::from_millis(100);
/// Fewer times than these say nothing.
const SAMPLES: usize = 5;
/// How often the shortest times are measured, with the limit at its least.
const PROBE_EVERY: Duration = Duration::from_secs(60);
/// The longest that this takes.
const PROBE: Duration = Duration::from_secs(2);
const PROBE_SAMPLES: usize = 25;

#[derive(Debug)]
pub struct Gradient {
    limit: f64,
    /// The shortest time of each class, in seconds. There are no more than classes.
    shortest: HashMap<Class, f64>,
    ratios: Vec<f64>,
    /// The most calls that ran at a time since the limit was set.
    used: u64,
    set: Instant,
    probe: Probe,
}

#[derive(Clone, Copy, Debug)]
enum Probe {
    At(Instant),
    /// Until then, or until so many more times.
    Runs(Instant, usize),
}

impl Gradient {
    pub fn new(now: Instant) -> Self {
        let probe = Probe::At(now + PROBE_EVERY);
        let (shortest, ratios) = (HashMap::new(), Vec::new());
        Self { limit: FIRST, shortest, ratios, used: 0, set: now, probe }
    }

    /// How many calls may run.
    pub fn limit(&self, now: Instant) -> u64 {
        match self.probe {
            Probe::Runs(until, _) if now < until => LEAST as u64,
            Probe::At(_) | Probe::Runs(..) => self.limit as u64,
        }
    }

    /// When the probe that runs ends at the latest.
    pub fn probes_until(&self, now: Instant) -> Option<Instant> {
        match self.probe {
            Probe::Runs(until, _) if now < until => Some(until),
            Probe::At(_) | Probe::Runs(..) => None,
        }
    }

    /// Learns that a call took so long, which began with `in_flight` calls running, itself included.
    pub fn learn(&mut self, class: Class, took: Duration, in_flight: u64, now: Instant) {
        let took = took.as_secs_f64().max(1e-6);
        match self.probe {
            Probe::At(at) if now >= at => {
                self.shortest.clear();
                self.ratios.clear();
                self.probe = Probe::Runs(now + PROBE, PROBE_SAMPLES);
            }
            Probe::At(_) => {}
            Probe::Runs(until, left) => {
                // Those that began before the probe ran among many.
                let counts = in_flight <= LEAST as u64;
                let left = left - usize::from(counts);
                if counts {
                    self.shorten(class, took);
                }
                self.probe = match left == 0 || now >= until {
                    true => Probe::At(now + PROBE_EVERY),
                    false => Probe::Runs(until, left),
                };
                self.set = now;
                return;
            }
        }
        let shortest = self.shorten(class, took);
        self.ratios.push(took / shortest);
        self.used = self.used.max(in_flight);
        if self.ratios.len() >= SAMPLES && now.saturating_duration_since(self.set) >= STEP {
            self.step();
            self.set = now;
        }
    }

    fn shorten(&mut self, class: Class, took: f64) -> f64 {
        let shortest = self.shortest.entry(class).or_insert(took);
        *shortest = shortest.min(took);
        *shortest
    }

    /// Sets the limit: less in proportion as calls take longer, and room for a queue of its square root. Where less than half of
    /// the limit is used, short times do not show that more calls could run.
    fn step(&mut self) {
        let ratios = &mut self.ratios;
        let middle = ratios.len() / 2;
        let (_, median, _) = ratios.select_nth_unstable_by(middle, f64::total_cmp);
        let gradient = (TOLERANCE / *median).clamp(0.5, 2.0);
        ratios.clear();
        let limit = (self.limit * gradient + self.limit.sqrt()).clamp(LEAST, MOST);
        let is_used = std::mem::take(&mut self.used) as f64 * 2.0 >= self.limit;
        self.limit = if is_used { limit } else { limit.min(self.limit) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a server that works on `cores` calls at a time for two minutes, always at the limit, and returns the limits
    /// of the second one.
    fn limits(cores: f64, millisecond: impl Fn(usize) -> (Class, f64)) -> Vec<u64> {
        let began = Instant::now();
        let mut gradient = Gradient::new(began);
        let (mut at, mut seen) = (0.0_f64, Vec::new());
        for call in 0.. {
            let now = began + Duration::from_secs_f64(at / 1000.0);
            let running = gradient.limit(now) as f64;
            let (class, alone) = millisecond(call);
            let took = alone * (running / cores).max(1.0);
            at += took / running;
            if at > 120_000.0 {
                return seen;
            }
            let now = began + Duration::from_secs_f64(at / 1000.0);
            gradient.learn(class, Duration::from_secs_f64(took / 1000.0), running as u64, now);
            if at > 60_000.0 && matches!(gradient.probe, Probe::At(_)) {
                seen.push(gradient.limit(now));
            }
        }
        seen
    }

    #[test]
    fn the_limit_stays_above_the_cores_and_not_far_above() {
        for cores in [4.0, 16.0, 64.0] {
            let class = Class::new(0, 10, false, false);
            let mut seen = limits(cores, |_| (class, 5.0));
            seen.sort_unstable();
            let (low, high) = (seen[seen.len() / 20] as f64, seen[seen.len() * 19 / 20] as f64);

            assert!(low >= cores && high <= cores * 2.0 + 8.0, "{cores}: {low} to {high}");
        }
    }

    #[test]
    fn a_mix_of_cheap_and_expensive_calls_is_no_load() {
        let (cheap, expensive) =
            (Class::new(0, 1, false, false), Class::new(0, 1 << 17, false, false));
        let mut seen =
            limits(16.0, |call| if call % 7 == 0 { (expensive, 200.0) } else { (cheap, 2.0) });
        seen.sort_unstable();

        assert!(seen[seen.len() / 20] >= 16, "{seen:?}");
    }

    #[test]
    fn the_limit_does_not_grow_while_it_is_not_used() {
        let now = Instant::now();
        let mut gradient = Gradient::new(now);
        let class = Class::new(0, 10, false, false);
        for call in 0..2000 {
            let now = now + Duration::from_millis(call * 20);
            gradient.learn(class, Duration::from_millis(5), 2, now);
        }

        assert_eq!(FIRST as u64, gradient.limit(now));
    }

    #[test]
    fn the_limit_has_bounds() {
        let now = Instant::now();
        let mut gradient = Gradient::new(now);
        let class = Class::new(0, 1, false, false);
        for call in 0..100_000_u64 {
            let took = Duration::from_millis(1 + call % 977);
            let now = now + Duration::from_millis(call * 11);
            gradient.learn(class, took, 5, now);
            assert!((2..=1000).contains(&gradient.limit(now)), "{gradient:?}");
        }
    }
}
