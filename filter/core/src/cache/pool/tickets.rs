//! Calls beside reads that change the pool's state: AllocTimestamp, DescribeCollection, and structural changes.

use std::sync::Arc;

use crate::cache::planted;
use crate::cache::pool::control::Terms;
use crate::cache::pool::facts::{CollectionKey, Learned};
use crate::cache::pool::generation::InProgress;
use crate::cache::pool::samples::Sample;
use crate::cache::pool::state::Pool;
use crate::cache::read::{Facts, Read};
use crate::host::clock::BootTime;

/// An AllocTimestamp in flight. Dropped: it has no answer.
#[derive(Debug)]
pub struct SampleTicket {
    pool: Arc<Pool>,
    sent: BootTime,
    begun: u64,
}

/// A DescribeCollection in flight. Dropped: it has no answer.
#[derive(Debug)]
pub struct LevelTicket {
    pool: Arc<Pool>,
    key: CollectionKey,
    sent: BootTime,
    generation: u64,
}

/// A structural call in progress. Dropped: it ended without an answer.
#[derive(Debug)]
pub struct Change {
    pool: Arc<Pool>,
    /// None once it has ended.
    call: Option<InProgress>,
}

/// The answer to a structural call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Done,
    /// It does not say whether the change was made.
    Unclear,
    /// It is not Milvus's answer, or not known to be: the call may still be in progress there.
    Unanswered,
    /// It is a definite error: nothing has changed.
    Refused,
}

impl Pool {
    /// Whether an AllocTimestamp should be sent now, `now` being read immediately before: at most one each 200 ms.
    pub fn sample_due(self: &Arc<Self>, now: BootTime) -> Option<SampleTicket> {
        let is_due = self.control().samples.is_due(now);
        is_due.then(|| self.sample_ticket(now))
    }

    pub(in crate::cache::pool) fn sample_ticket(self: &Arc<Self>, sent: BootTime) -> SampleTicket {
        let begun = self.control().samples.begin();
        SampleTicket { pool: Arc::clone(self), sent, begun }
    }

    /// Whether a DescribeCollection for this read should be sent now, `now` being read immediately before: nothing valid is
    /// known of its collection, or it soon expires.
    pub fn level_wanted(
        self: &Arc<Self>,
        read: &Read,
        terms: Terms,
        now: BootTime,
    ) -> Option<LevelTicket> {
        let mut control = self.control();
        let generation = control.generation.number();
        let is_due = control.generation.is_open(now)
            && control.facts.is_due(&read.collection_key, generation, now, terms.bound);
        drop(control);
        if is_due {
            self.level_ticket(&read.collection_key, now)
        } else {
            None
        }
    }

    /// None while the generation is closed: a proxy that has not been notified of the change may answer.
    pub(in crate::cache::pool) fn level_ticket(
        self: &Arc<Self>,
        key: &CollectionKey,
        sent: BootTime,
    ) -> Option<LevelTicket> {
        let control = self.control();
        let (is_open, generation) = (control.generation.is_open(sent), control.generation.number());
        let ticket = || LevelTicket { pool: Arc::clone(self), key: *key, sent, generation };
        is_open.then(ticket)
    }

    /// Sees a structural call, before it is sent.
    pub fn change_begins(self: &Arc<Self>, now: BootTime) -> Change {
        let mut control = self.control();
        let bound = control.terms.bound;
        let call = Some(control.generation.begin(now, bound));
        Change { pool: Arc::clone(self), call }
    }
}

impl SampleTicket {
    /// The answer has come.
    pub fn answered(self, timestamp: u64, now: BootTime) {
        let sent = if planted::sample_aged_from_receipt() { now } else { self.sent };
        let mut control = self.pool.control();
        if !control.samples.add(Sample { sent, timestamp }, self.begun) {
            control.generation.bump();
        }
    }
}

impl Drop for SampleTicket {
    fn drop(&mut self) {
        self.pool.control().samples.ended();
    }
}

impl LevelTicket {
    /// The answer has come.
    pub fn learned(self, facts: Facts) {
        let learned = Learned { facts, sent: self.sent, generation: self.generation };
        self.pool.control().facts.learn(&self.key, learned);
    }
}

impl Change {
    /// The answer has come, and nothing of it has been passed on yet.
    pub fn ends(mut self, ended: Ended, now: BootTime) {
        let Some(call) = self.call.take() else { return };
        let generation = &mut self.pool.control().generation;
        match ended {
            Ended::Done | Ended::Unclear => generation.changed(call, now),
            Ended::Unanswered => {
                generation.changed(call, now);
                generation.lost(call);
            }
            Ended::Refused => generation.refused(call),
        }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.pool.control().generation.lost(call);
        }
    }
}
