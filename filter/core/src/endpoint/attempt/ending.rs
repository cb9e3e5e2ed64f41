//! The end of an attempt: how its call ended for the client, and what is counted of it.

use std::time::{Duration, Instant};

use crate::calls::{Event, Outcome, Shows, Size, Subject};
use crate::endpoint::attempt::Attempt;
use crate::host::clock::Clock;
use crate::host::counters::Counters;
use crate::host::request::{AccessLog, Request, Upstream};
use crate::metrics::transport_status;
use crate::milvus::rpc::{ends_existence, COLLECTION_NOT_FOUND};
use crate::wire::text::Text;

impl Attempt<'_> {
    /// Counts the attempt and notes what the answer says, once the response has ended.
    pub(super) fn ended(
        &mut self,
        stream: &mut (impl Request + Upstream + Counters + Clock + AccessLog),
    ) {
        let Some(began) = self.began.take() else { return };
        let now = stream.now();
        let elapsed = now.saturating_duration_since(began);
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.pool.metrics.ended(self.transport_status, milliseconds, stream);
        self.note_answer(stream);
        if self.endpoint.is_empty() && self.pool.calls.is_some() {
            self.endpoint = Text::of(stream.endpoint().unwrap_or_default());
        }
        self.count(self.outcome(), elapsed, now);
    }

    /// How the call ended, for its client.
    fn outcome(&self) -> Outcome {
        let code = self.messages.code().unwrap_or(0);
        match (self.transport_status, code) {
            (transport_status::GRPC_SUCCESS | transport_status::HTTP_SUCCESS, 0) => {
                Outcome::Success
            }
            (transport_status::GRPC_SUCCESS | transport_status::HTTP_SUCCESS, code) => {
                Outcome::Milvus(code)
            }
            (status, _) => Outcome::Transport(status),
        }
    }

    /// What the outcome shows of the database and the collection that the call names.
    fn shows(&self, outcome: Outcome) -> Shows {
        let rpc = self.messages.rest_rpc().unwrap_or(self.call.label());
        match outcome {
            Outcome::Success if self.messages.vouch() => Shows::Existence,
            Outcome::Success if ends_existence(rpc) => Shows::Absence,
            Outcome::Milvus(COLLECTION_NOT_FOUND) => Shows::Absence,
            _ => Shows::Nothing,
        }
    }

    fn count(&self, outcome: Outcome, elapsed: Duration, now: Instant) {
        let Some(calls) = self.pool.calls.as_ref().filter(|_| !self.is_own) else { return };
        let succeeded = outcome == Outcome::Success;
        let (database, collection) = self.messages.names();
        let size = self.messages.size();
        let call = Subject {
            rpc: self.messages.rest_rpc().unwrap_or(self.call.label()),
            database,
            collection,
            user: self.user.as_bytes(),
            endpoint: self.endpoint.as_bytes(),
            shows: self.shows(outcome),
        };
        let size = Size { rows: if succeeded { size.rows } else { 0 }, ..size };
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        calls.record(&call, &[Event::Ended { outcome, size, micros }], now);
    }
}

impl Drop for Attempt<'_> {
    /// Counts an attempt that ends without an answer: its client gave it up, or its endpoint is gone.
    fn drop(&mut self) {
        if let Some(began) = self.began.take() {
            let now = Instant::now();
            let unanswered = Outcome::Transport(transport_status::NONE);
            self.count(unanswered, now.saturating_duration_since(began), now);
        }
    }
}
