//! What belongs to the pool as a whole, under one lock: the generation, samples, and what is known of collections.

use std::time::Duration;

use crate::cache::planted;
use crate::cache::pool::allowance::Allowance;
use crate::cache::pool::callers::Callers;
use crate::cache::pool::entries::Label;
use crate::cache::pool::facts::FactsTable;
use crate::cache::pool::generation::Generation;
use crate::cache::pool::pace::Paces;
use crate::cache::pool::prompt::Prompt;
use crate::cache::pool::repeats::Repeats;
use crate::cache::pool::samples::Samples;
use crate::cache::reason::Reason;
use crate::host::clock::BootTime;

/// A guarantee this far ahead of Milvus's time is perhaps that of another Milvus, and a fill would wait until then. A
/// client's own last write is ahead by less than the time between two samples and a step of Milvus's timestamps.
const AHEAD: Duration = Duration::from_millis(500);
/// SDKs send 1 for Eventually and 2 for Bounded; every timestamp is above.
const LAST_SENTINEL: u64 = 2;

/// What a pool's configuration says of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolTerms {
    /// The statement's B.
    pub bound: Duration,
    /// The most bytes of all entries.
    pub memory: u64,
}

/// What a route's configuration says of a read of one collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The statement's B.
    pub bound: Duration,
    /// The same for Eventually reads.
    pub eventual_bound: Duration,
    /// The statement's F.
    pub fill_lag: Duration,
    /// The longest time that a read waits for another one.
    pub max_wait: Duration,
}

#[derive(Debug)]
pub struct Control {
    pub terms: PoolTerms,
    /// It changes when all endpoints were replaced; None before the first configuration.
    epoch: Option<u64>,
    pub generation: Generation,
    pub samples: Samples,
    pub facts: FactsTable,
    pub callers: Callers,
    /// For DescribeCollections.
    pub allowance: Allowance,
    pub paces: Paces,
    pub prompt: Prompt,
    pub repeats: Repeats,
    /// See `AHEAD`; the model of the tests knows no such limit, which is the greatest duration.
    pub ahead: Duration,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            terms: PoolTerms { bound: Duration::ZERO, memory: 0 },
            epoch: None,
            generation: Generation::default(),
            samples: Samples::default(),
            facts: FactsTable::default(),
            callers: Callers::default(),
            allowance: Allowance::default(),
            paces: Paces::default(),
            prompt: Prompt::default(),
            repeats: Repeats::default(),
            ahead: AHEAD,
        }
    }
}

impl Control {
    pub fn configure(&mut self, terms: PoolTerms, epoch: u64) {
        self.terms = terms;
        let is_replaced = self.epoch.is_some_and(|before| before != epoch);
        self.epoch = Some(epoch);
        if is_replaced {
            self.generation.bump();
            self.samples.drop_all();
        }
    }

    /// The label that the answer to a read has if it is sent now. `may_wait` says that Milvus itself waits until it has the
    /// guarantee: at the level Bounded it does not, and neither must the client of a fill.
    pub fn label(
        &self,
        is_eventual: bool,
        (guarantee, may_wait): (u64, bool),
        terms: Terms,
        now: BootTime,
    ) -> Result<Label, Reason> {
        if is_eventual {
            return Ok(Label { sent: now, upto: 0 });
        }
        let sample = self.samples.for_fill(now, terms.fill_lag, terms.bound);
        let sample = sample.ok_or(Reason::NoSample)?;
        let is_limited = guarantee > sample.timestamp && self.ahead < Duration::MAX;
        if is_limited && (!may_wait || self.samples.ahead(guarantee, now) > self.ahead) {
            return Err(Reason::GuaranteeAhead);
        }
        let sent = if planted::label_is_now() { now } else { sample.sent };
        Ok(Label { sent, upto: sample.timestamp.max(guarantee) })
    }
}

/// The timestamp that a request guarantees, or 0.
pub fn guarantee(sent: u64) -> u64 {
    if sent > LAST_SENTINEL {
        sent
    } else {
        0
    }
}
