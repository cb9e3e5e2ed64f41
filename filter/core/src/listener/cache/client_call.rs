//! A read that a cache decides about, as a call of its client: what is counted of it, and what the access log says of it.
//!
//! The filter of the endpoint sees neither a read that the cache answers, nor what the client of another one asks for: the
//! cache asks the endpoint for another consistency.

use std::time::Instant;

use crate::cache::question::headers::Header;
use crate::calls::{Cached, Event, Outcome, Shows, Size, Subject};
use crate::host::clock::Clock;
use crate::host::request::{AccessLog, Routed};
use crate::listener::route::RouteConfig;
use crate::listener::settings::Settings;
use crate::metrics::transport_status;
use crate::milvus::caller::User;
use crate::milvus::rpc::{proves_existence, Rpc};
use crate::noting::{Notes, Noting, TRACEPARENT};
use crate::reading::{note_user, Reading};

/// One read.
#[derive(Debug)]
pub struct ClientCall {
    began: Instant,
    user: User,
    reading: Reading,
    notes: Notes,
    noting: Noting,
    /// None: nothing is decided.
    decided: Option<Cached>,
    /// How many reads of the same caller and collection were sent unchanged before it and not counted.
    pub passed: u64,
}

impl ClientCall {
    /// A call whose headers came at `began`; `request` is what has arrived of its body.
    pub fn new(
        rpc: &'static Rpc,
        began: Instant,
        headers: &[Header<'_>],
        request: &[u8],
        settings: &Settings,
    ) -> Self {
        let value = |name: &[u8]| {
            let found = headers.iter().find(|(each, _)| *each == name);
            found.map(|(_, value)| *value)
        };
        let noting = settings.noting(value(TRACEPARENT.as_bytes()));
        let mut reading = Reading::new(rpc, value(b"dbname"), noting != Noting::No);
        reading.read_request(request);
        let user = settings.users.of_grpc(value(b"authorization"));
        Self { began, user, reading, notes: settings.notes, noting, decided: None, passed: 0 }
    }

    /// The endpoint gets the call.
    pub fn sent(&mut self, cached: Cached, log: &mut impl AccessLog) {
        self.decided = Some(cached);
        log.note_cache(cached.label());
        if cached != Cached::Miss {
            return;
        }
        match self.noting {
            Noting::Yes => self.note_question(log),
            // The filter of the endpoint knows whether the call is traced, and notes all but what it is asked in another way.
            Noting::Unknown => self.reading.note_consistency(log),
            Noting::No => {}
        }
    }

    /// The cache answers the call.
    pub fn answered(
        mut self,
        cached: Cached,
        answer: &[u8],
        stream: &mut (impl AccessLog + Clock + Routed<RouteConfig>),
    ) {
        self.reading.read_response(answer);
        stream.note_cache(cached.label());
        self.note_question(stream);
        if self.reading.reads_all() {
            self.reading.note_answer(stream);
        }
        let outcome = match self.reading.code().unwrap_or_default() {
            0 => Outcome::Success,
            code => Outcome::Milvus(code),
        };
        let ended = self.ended(outcome, stream);
        let events = [ended, Event::Cached(cached), Event::Passed(self.passed)];
        self.count(&events, outcome == Outcome::Success, stream);
    }

    /// The stream is over. If the endpoint got the call, its filter has counted the attempts, and only what the cache did is
    /// missing. If nothing was decided, the client has given up.
    pub fn complete(self, stream: &mut (impl AccessLog + Clock + Routed<RouteConfig>)) {
        let event = match self.decided {
            Some(cached) => Event::Cached(cached),
            None => {
                self.note_question(stream);
                self.ended(Outcome::Transport(transport_status::NONE), stream)
            }
        };
        self.count(&[event, Event::Passed(self.passed)], false, stream);
    }

    fn note_question(&self, log: &mut impl AccessLog) {
        if self.noting == Noting::No {
            return;
        }
        if self.notes.traced {
            log.note_text("rpc", self.reading.rpc().name);
        }
        note_user(&self.user, log);
        self.reading.note_question(false, log);
    }

    fn ended(&self, outcome: Outcome, clock: &impl Clock) -> Event {
        let elapsed = clock.now().saturating_duration_since(self.began);
        let size = self.reading.size();
        let size = Size { rows: if outcome == Outcome::Success { size.rows } else { 0 }, ..size };
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        Event::Ended { outcome, size, micros }
    }

    fn count(
        &self,
        events: &[Event],
        succeeded: bool,
        stream: &(impl Clock + Routed<RouteConfig>),
    ) {
        let calls = stream.route_config().and_then(|route| route.calls.as_ref());
        let Some(calls) = calls else { return };
        let (database, collection) = self.reading.names();
        let rpc = self.reading.rpc().name;
        let subject = Subject {
            rpc,
            database,
            collection,
            user: self.user.as_bytes(),
            endpoint: b"",
            shows: if succeeded && proves_existence(rpc, collection) {
                Shows::Existence
            } else {
                Shows::Nothing
            },
        };
        calls.record(&subject, events, stream.now());
    }
}
