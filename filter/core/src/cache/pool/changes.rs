//! Structural calls.

use std::sync::Arc;

use crate::cache::caller::Caller;
use crate::cache::pool::generation::InProgress;
use crate::cache::pool::state::Pool;
use crate::host::clock::BootTime;

/// A structural call in progress. Dropped: it ended without an answer.
#[derive(Debug)]
pub struct Change {
    pool: Arc<Pool>,
    caller: Caller,
    /// None once it has ended.
    call: Option<Call>,
    lasts: bool,
}

#[derive(Clone, Copy, Debug)]
enum Call {
    /// It keeps the generation closed.
    Closes(InProgress),
    /// Its caller is not known, so perhaps Milvus refuses it: it keeps nothing closed.
    Passes,
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
    /// Sees a structural call, before it is sent. Only a call of a caller that is known closes the generation: a stranger
    /// whom Milvus refuses must not keep other callers from the cache.
    pub fn change_begins(self: &Arc<Self>, caller: Caller, now: BootTime) -> Change {
        let mut control = self.control();
        let call = if control.callers.knows(&caller, now) {
            let bound = control.terms.bound;
            Call::Closes(control.generation.begin(now, bound))
        } else {
            Call::Passes
        };
        Change { pool: Arc::clone(self), caller, call: Some(call), lasts: false }
    }
}

impl Change {
    /// Milvus has begun to answer, and may make changes until the stream ends: the generation is closed until then.
    pub fn lasts(&mut self) {
        if !std::mem::replace(&mut self.lasts, true) {
            self.pool.control().generation.lasts();
        }
    }

    pub fn is_lasting(&self) -> bool {
        self.lasts
    }

    /// The answer has come, and nothing of it has been passed on yet.
    pub fn ends(mut self, ended: Ended, now: BootTime) {
        let Some(call) = self.call.take() else { return };
        let mut control = self.pool.control();
        if ended == Ended::Done {
            control.callers.answered(self.caller, now);
        }
        let generation = &mut control.generation;
        match (ended, call) {
            (Ended::Unanswered, Call::Closes(call)) => {
                generation.changed(now);
                generation.lost(call);
            }
            (_, Call::Closes(call)) => generation.ended(call),
            (_, Call::Passes) => {}
        }
        if matches!(ended, Ended::Done | Ended::Unclear) {
            generation.changed(now);
        }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        let generation = &mut self.pool.control().generation;
        if self.lasts {
            generation.lasted();
        }
        match self.call.take() {
            Some(Call::Closes(call)) => generation.lost(call),
            Some(Call::Passes) if self.lasts => generation.bump(),
            Some(Call::Passes) | None => {}
        }
    }
}
