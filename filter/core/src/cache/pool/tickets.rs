//! Calls that the cache makes itself before it decides about a read: AllocTimestamp and DescribeCollection.

use std::sync::Arc;

use crate::cache::caller::Caller;
use crate::cache::planted;
use crate::cache::pool::ask::Asked;
use crate::cache::pool::control::{Control, Terms};
use crate::cache::pool::entries::EntryKey;
use crate::cache::pool::facts::{CollectionKey, Learned};
use crate::cache::pool::samples::{Begun, Sample};
use crate::cache::pool::state::Pool;
use crate::cache::read::{Facts, Read};
use crate::host::clock::BootTime;

/// The calls that are due.
#[derive(Debug)]
pub struct Due {
    pub sample: Option<SampleTicket>,
    pub level: Option<LevelTicket>,
    /// Whether the read waits for their answers: it needs the level, or it is answered at once otherwise, and these calls end
    /// with it. Otherwise they are made while the read is on its way.
    pub waits: bool,
    /// Whether Milvus has lately answered the read's caller well.
    pub is_known: bool,
}

/// An AllocTimestamp in flight. Dropped: it has no good answer.
#[derive(Debug)]
pub struct SampleTicket {
    pool: Arc<Pool>,
    caller: Caller,
    sent: BootTime,
    begun: Begun,
    is_good: bool,
    has_failed: bool,
}

/// A DescribeCollection in flight. Dropped: it was not sent, or its read is gone.
#[derive(Debug)]
pub struct LevelTicket {
    pool: Arc<Pool>,
    key: CollectionKey,
    caller: Caller,
    is_known: bool,
    sent: BootTime,
    generation: u64,
    has_ended: bool,
}

impl Pool {
    /// The calls that should be made now for a read, `now` being read immediately before. An AllocTimestamp: at most one
    /// each 200 ms. A DescribeCollection: if its collection was read before, and nothing valid is known of it or it soon
    /// expires. Callers that are not known get few of both.
    pub fn due(self: &Arc<Self>, read: &Read, terms: Terms, now: BootTime) -> Due {
        let shard = self.shard(&EntryKey { digest: read.key, is_eventual: false });
        let mut guard = self.control();
        let control = &mut *guard;
        control.generation.starts(now);
        let is_known = control.callers.knows(&read.caller, now);
        let need = Asked::need(read, terms, now, &shard, control);
        let is_sample_due = need.sample && control.samples.is_due(is_known, need.is_urgent, now);
        let (key, generation) = (&read.collection_key, control.generation.number());
        let is_level_due = need.level
            && control.facts.is_due(key, generation, now, terms.bound)
            && control.allowance.allows(is_known, now);
        let sample = is_sample_due.then(|| self.sample_ticket(read.caller, now, control));
        let level = is_level_due.then(|| self.level_ticket(key, read.caller, now, control));
        let level = level.flatten();
        let is_needed = need.is_level_unknown && level.is_some() || need.is_hit;
        let waits = control.prompt.waits(is_needed);
        // A ticket that is dropped locks the control.
        drop((guard, shard));
        Due { sample, level, waits, is_known }
    }

    pub(in crate::cache::pool) fn sample_ticket(
        self: &Arc<Self>,
        caller: Caller,
        sent: BootTime,
        control: &mut Control,
    ) -> SampleTicket {
        let is_known = control.callers.knows(&caller, sent);
        let begun = control.samples.begin(is_known, sent);
        let (is_good, has_failed) = (false, false);
        SampleTicket { pool: Arc::clone(self), caller, sent, begun, is_good, has_failed }
    }

    /// None while the generation is closed: a proxy that has not been notified of the change may answer.
    pub(in crate::cache::pool) fn level_ticket(
        self: &Arc<Self>,
        key: &CollectionKey,
        caller: Caller,
        sent: BootTime,
        control: &mut Control,
    ) -> Option<LevelTicket> {
        if !control.generation.is_open(sent) {
            return None;
        }
        let is_known = control.callers.knows(&caller, sent);
        control.allowance.begin(is_known, sent);
        control.facts.asked(key, sent);
        let (pool, generation) = (Arc::clone(self), control.generation.number());
        Some(LevelTicket { pool, key: *key, caller, is_known, sent, generation, has_ended: false })
    }
}

impl SampleTicket {
    /// Takes the timestamp of the answer, which came at `now`.
    pub fn answered(mut self, timestamp: u64, now: BootTime) {
        let sent = if planted::sample_aged_from_receipt() { now } else { self.sent };
        self.is_good = true;
        let mut control = self.pool.control();
        control.prompt.ended(now.since(self.sent));
        control.callers.answered(self.caller, now);
        if !control.samples.add(Sample { sent, timestamp }, self.begun) {
            control.generation.bump();
        }
    }

    /// There is no good answer, after a time.
    pub fn failed(mut self, now: BootTime) {
        self.has_failed = true;
        self.pool.control().prompt.ended(now.since(self.sent));
    }
}

impl Drop for SampleTicket {
    fn drop(&mut self) {
        let mut control = self.pool.control();
        control.samples.ended(self.begun, self.is_good);
        if !self.is_good && !self.has_failed {
            control.prompt.cut_off();
        }
    }
}

impl LevelTicket {
    /// Takes the facts of the answer, which came at `now`.
    pub fn learned(mut self, facts: Facts, now: BootTime) {
        self.has_ended = true;
        let learned = Learned { facts, sent: self.sent, generation: self.generation };
        let mut control = self.pool.control();
        control.prompt.ended(now.since(self.sent));
        control.callers.answered(self.caller, self.sent);
        control.facts.learn(&self.key, learned);
    }

    /// There is no good answer, after a time: the next one is not sent at once.
    pub fn failed(mut self, now: BootTime) {
        self.has_ended = true;
        self.pool.control().prompt.ended(now.since(self.sent));
    }
}

impl Drop for LevelTicket {
    fn drop(&mut self) {
        let mut control = self.pool.control();
        control.allowance.ended(self.is_known);
        if !self.has_ended {
            control.facts.not_asked(&self.key, self.sent);
            control.prompt.cut_off();
        }
    }
}
