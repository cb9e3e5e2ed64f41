//! Fuzzing with stable Rust and nothing else: known inputs are damaged at random, in as many executions as asked for.
//!
//! `cargo test` makes a few thousand executions of each target. `make fuzz SECONDS=600` gives each target so much time, with a
//! seed of its own each time, and prints how many executions there were. After a panic it says with which seed the same
//! executions begin again.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

/// Executions between two looks at the clock.
const BATCH: u64 = 256;
/// Bytes with which damage is most likely to matter: ends of varints, tags, and lengths.
const PROMISING: [u8; 10] = [0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x1a, b'"', b'\\', b':'];
/// A varint of 1 GiB, and one with more bytes than a varint has.
const LONG: [&[u8]; 2] = [&[0x80, 0x80, 0x80, 0x80, 4], &[0xff; 11]];

/// Numbers that look random (xorshift).
pub struct Random(u64);

impl Random {
    /// Equal seeds give equal numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`, or 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// One of some values.
    pub fn one<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.below(values.len())]
    }
}

/// Changes some bytes: one bit, one value, one piece out, one piece twice, a long length, or a cut.
pub fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        let end = at + random.below((bytes.len() - at).min(32));
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = *random.one(&PROMISING),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            4 => bytes.truncate(at),
            5 => drop(bytes.splice(at..at, random.one(&LONG).iter().copied())),
            _ => bytes.insert(at, random.next() as u8),
        }
    }
}

/// Executes a target so often, or for `KITEWAY_FUZZ_SECONDS`, and returns how often. The random numbers go on from one
/// execution to the next.
pub fn fuzz(target: &'static str, executions: u64, mut execute: impl FnMut(&mut Random)) -> u64 {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let time = number("KITEWAY_FUZZ_SECONDS").map(Duration::from_secs);
    let seed = number("KITEWAY_FUZZ_SEED").unwrap_or(match time {
        Some(_) => RandomState::new().build_hasher().finish(),
        None => 0x9e37_79b9_7f4a_7c15,
    });
    let mut random = Random::new(seed);
    let mut run = Run { target, seed, executions: 0 };
    let start = Instant::now();
    let is_over = |done| match time {
        Some(time) => done % BATCH == 0 && start.elapsed() >= time,
        None => done >= executions,
    };
    while !is_over(run.executions) {
        execute(&mut random);
        run.executions += 1;
    }
    if time.is_some() {
        println!("{target}: {} executions, seed {seed}", run.executions);
    }
    run.executions
}

/// Says after a panic where it was.
struct Run {
    target: &'static str,
    seed: u64,
    executions: u64,
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { target, seed, executions } = self;
            eprintln!("{target}: execution {executions} after KITEWAY_FUZZ_SEED={seed}");
        }
    }
}
