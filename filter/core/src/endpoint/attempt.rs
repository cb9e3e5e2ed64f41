//! One attempt at an endpoint: its metrics, and what Envoy's retry and outlier detection are told about the endpoint.

mod ending;

use std::sync::Arc;
use std::time::Instant;

use crate::calls::pool::PoolCalls;
use crate::endpoint::messages::Messages;
use crate::endpoint::rest_reading::RestReading;
use crate::endpoint::unchanged;
use crate::hedge::{self, Asks};
use crate::host::body::{RequestBody, ResponseBody};
use crate::host::clock::Clock;
use crate::host::counters::Counters;
use crate::host::request::{AccessLog, Request, StreamNote, Upstream};
use crate::host::response::Response;
use crate::host::Action;
use crate::mark;
use crate::metrics::attempts::AttemptMetrics;
use crate::metrics::transport_status;
use crate::milvus::call::Call;
use crate::milvus::caller::{User, Users};
use crate::milvus::milvus_status::{readiness, rest_readiness, Readiness};
use crate::milvus::rest_path::{database_header, rpc_of};
use crate::milvus::rpc::{Class, MilvusStatusLocation};
use crate::noting::{headers, Notes, Noting};
use crate::reading::{note_user, Reading};
use crate::wire::text::Text;

/// The most bytes of a response that are read. A status that says "not ready" needs a tenth of it; a response whose
/// readiness is unknown after them is passed on.
const HEAD_LIMIT: usize = 4096;

/// The longest address of an endpoint that is kept, in bytes: a path of a socket may be longer.
const MAX_ENDPOINT: usize = 64;

const GRPC_STATUS: &str = "grpc-status";

/// Envoy sets it in the calls that the filter itself makes (`AsyncStreamImpl::sendHeaders`). No client's request has it: the
/// listener removes every header of a client whose name begins like this.
const OWN_CALL: &str = "x-envoy-internal";

/// Which of Milvus's two APIs the endpoints of a pool serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Grpc,
    Rest,
}

/// What all attempts at the endpoints of a pool share.
#[derive(Clone, Debug)]
pub struct Pool {
    pub api: Api,
    /// Of which calls the access log and spans get what the messages say.
    pub notes: Notes,
    pub users: Users,
    pub metrics: AttemptMetrics,
    /// What is counted of calls by collection, user and endpoint; None: nothing.
    pub calls: Option<Arc<PoolCalls>>,
}

/// One attempt at an endpoint.
#[derive(Debug)]
pub struct Attempt<'pool> {
    pool: &'pool Pool,
    call: Call,
    /// When the request's headers came; None once the response has ended.
    began: Option<Instant>,
    transport_status: &'static str,
    state: State,
    user: User,
    endpoint: Text<MAX_ENDPOINT>,
    messages: Messages,
    /// Whether it is a call of the filter's own, which is no client's and is not counted as one.
    is_own: bool,
    noting: Noting,
    /// Whether the attempt asks for another consistency than the client, so that the answer may be kept.
    asks: Asks,
}

#[derive(Debug)]
enum State {
    /// The response is passed on: its call has no Milvus status to read, or the status has been read.
    Passing,
    /// The response has not begun.
    Waiting(MilvusStatusLocation),
    /// The response's headers are held; these are the first bytes of its body, where the first piece was too short.
    Reading(MilvusStatusLocation, Vec<u8>),
    /// The response to a REST call that reads or writes entities, or only reads, has not begun.
    WaitingRest(Effect),
    /// Its headers are held; these are the first bytes of its body.
    ReadingRest(Effect, Vec<u8>),
    /// The endpoint is not ready, and the response's message is dropped.
    Refusing,
}

/// What a REST call does that may be sent to another endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// It only reads, and may be sent again whatever an endpoint has done.
    Reads,
    /// It writes entities, in one step: it may be sent again if that step was refused.
    Writes,
}

impl<'pool> Attempt<'pool> {
    pub fn new(pool: &'pool Pool) -> Self {
        Self {
            pool,
            call: Call::Rest,
            began: None,
            transport_status: transport_status::NONE,
            state: State::Passing,
            user: User::NOBODY,
            endpoint: Text::EMPTY,
            messages: Messages::Unread,
            is_own: false,
            noting: Noting::No,
            asks: Asks::Unchanged,
        }
    }

    /// Counts the attempt by its call.
    pub fn on_request_headers(
        &mut self,
        stream: &mut (impl Request + Upstream + Counters + Clock + AccessLog + StreamNote),
    ) {
        self.began = Some(stream.now());
        if self.pool.api == Api::Grpc {
            self.asks = unchanged::begin(stream);
        }
        if self.pool.notes != Notes::default() || self.pool.calls.is_some() {
            self.begin_reading(stream);
        } else if self.pool.api == Api::Grpc {
            self.call = Call::of_grpc(stream.request_header(":path"));
        }
        self.pool.metrics.began(self.call, stream);
        match self.call {
            Call::Milvus(rpc) if rpc.milvus_status != MilvusStatusLocation::Nowhere => {
                self.state = State::Waiting(rpc.milvus_status);
            }
            Call::Rest => {
                if let Some(effect) = effect_of(stream.request_header(":path")) {
                    self.state = State::WaitingRest(effect);
                }
            }
            _ => {}
        }
    }

    fn begin_reading(&mut self, stream: &mut (impl Request + Upstream + AccessLog)) {
        let ([path, authorization, database, own], traceparent) =
            headers(stream, [":path", "authorization", "dbname", OWN_CALL], self.pool.notes);
        if self.pool.api == Api::Grpc {
            self.call = Call::of_grpc(path);
        }
        self.is_own = own.is_some();
        if self.is_own {
            return;
        }
        self.user = match self.pool.api {
            Api::Grpc => self.pool.users.of_grpc(authorization),
            Api::Rest => self.pool.users.of_rest(authorization),
        };
        let endpoint = stream.endpoint();
        self.noting = Noting::new(self.pool.notes, traceparent, endpoint.is_some());
        self.endpoint = Text::of(endpoint.unwrap_or_default());
        self.messages = match self.call {
            Call::Milvus(rpc) => {
                let notes = self.noting != Noting::No;
                // The listener has noted what the client asks for.
                let all = notes && !(self.asks != Asks::Unchanged && self.pool.notes.all);
                Messages::Grpc(Box::new(Reading::new(rpc, database, all)))
            }
            Call::Rest => {
                let path = path.unwrap_or_default();
                let database = database_header(path).and_then(|name| stream.request_header(name));
                Messages::Rest(Box::new(RestReading::new(path, database.unwrap_or_default())))
            }
            Call::OtherGrpc => Messages::Unread,
        };
        if self.noting == Noting::Yes {
            self.note_call(stream);
        }
    }

    /// Writes the user of the call to the log and, for a span, what the call asks for.
    fn note_call(&self, stream: &mut impl AccessLog) {
        note_user(&self.user, stream);
        if self.pool.notes.traced {
            stream.note_text("rpc", self.messages.rest_rpc().unwrap_or(self.call.label()));
        }
    }

    /// Reads the request, and makes it the client's own again.
    pub fn on_request_body(&mut self, stream: &mut (impl RequestBody + AccessLog), end: bool) {
        if let Asks::Client { appended } = self.asks {
            if !(end && unchanged::restore(appended, stream)) {
                self.asks = Asks::Fill;
            }
        }
        match &mut self.messages {
            Messages::Unread => {}
            Messages::Rest(reading) => reading.on_request_body(stream),
            Messages::Grpc(reading) => {
                if reading.on_request_body(stream, end) && self.noting == Noting::Yes {
                    reading.note_question(self.asks != Asks::Unchanged, stream);
                }
            }
        }
    }

    /// Holds the headers of a response that has a message, until `on_response_body` knows the endpoint's readiness.
    pub fn on_response_headers(
        &mut self,
        stream: &mut (impl Request + Response + Upstream + Counters + Clock + AccessLog),
        end: bool,
    ) -> Action {
        if matches!(self.asks, Asks::Client { .. }) {
            hedge::mark(stream);
        }
        match self.pool.api {
            Api::Rest => {
                self.transport_status =
                    transport_status::of_http(stream.response_header(":status"));
            }
            Api::Grpc if end => {
                self.transport_status =
                    transport_status::of_grpc(stream.response_header(GRPC_STATUS));
            }
            Api::Grpc => {}
        }
        if end {
            self.state = State::Passing;
            self.ended(stream);
        }
        self.state = match self.state {
            State::Waiting(at) => State::Reading(at, Vec::new()),
            State::WaitingRest(effect) if is_json(stream) => State::ReadingRest(effect, Vec::new()),
            _ => return Action::Continue,
        };
        Action::Hold
    }

    /// Reads the endpoint's readiness from the first bytes of a message.
    pub fn on_response_body(
        &mut self,
        stream: &mut (impl Request + Response + ResponseBody + Upstream + Counters + Clock + AccessLog),
        end: bool,
    ) -> Action {
        match &mut self.messages {
            Messages::Unread => {}
            Messages::Rest(reading) => reading.on_response_body(stream),
            Messages::Grpc(reading) => reading.on_response_body(stream),
        }
        if end {
            self.ended(stream);
        }
        let (readiness, full) = match &mut self.state {
            State::Reading(at, head) => read(head, *at, stream),
            State::ReadingRest(_, head) => {
                stream.copy_response_body(head, HEAD_LIMIT);
                (rest_readiness(head), head.len() >= HEAD_LIMIT)
            }
            State::Refusing => {
                stream.drop_response_body();
                return Action::Continue;
            }
            State::Passing | State::Waiting(_) | State::WaitingRest(_) => return Action::Continue,
        };
        if readiness == Readiness::Unknown && !full && !end {
            return Action::Hold;
        }
        let writes = matches!(self.state, State::ReadingRest(Effect::Writes, _));
        self.state = State::Passing;
        if matches!(readiness, Readiness::NotReady | Readiness::Starting) {
            match self.pool.api {
                Api::Rest if writes => self.rest_write_not_ready(stream, readiness),
                Api::Rest => self.rest_not_ready(stream),
                Api::Grpc if is_grpc(stream) => {
                    self.not_ready(stream, readiness == Readiness::Starting)
                }
                Api::Grpc => {}
            }
        }
        Action::Continue
    }

    /// Counts the response by the status it ends with.
    pub fn on_response_trailers(
        &mut self,
        stream: &mut (impl Request + Response + Upstream + Counters + Clock + AccessLog),
    ) {
        if self.pool.api == Api::Grpc {
            self.transport_status = transport_status::of_grpc(stream.response_trailer(GRPC_STATUS));
        }
        self.ended(stream);
        if matches!(self.state, State::Refusing) {
            mark::end(stream);
        }
    }

    /// Tells Envoy's router that the endpoint is not ready.
    ///
    /// The message of a read is dropped for a second reason too: when Envoy gives one of several concurrent attempts
    /// (hedging) up, it still passes on the message that it was about to pass on, in front of the response of another
    /// attempt (router.cc of Envoy 1.40).
    fn not_ready(
        &mut self,
        stream: &mut (impl Response + ResponseBody + Counters),
        starting: bool,
    ) {
        self.pool.metrics.not_ready(self.call, stream);
        if matches!(self.call, Call::Milvus(rpc) if rpc.repeatable) {
            mark::refuse(stream);
            stream.drop_response_body();
            self.state = State::Refusing;
        } else {
            mark::mark(stream, starting);
        }
    }

    /// Tells Envoy's router that the endpoint is not ready. If there is no retry, the client gets the status with Milvus's own
    /// body.
    fn rest_not_ready(&mut self, stream: &mut (impl Response + Counters)) {
        self.pool.metrics.not_ready(self.call, stream);
        stream.set_response_header(":status", "503");
        self.transport_status = transport_status::of_http(Some(b"503"));
    }

    /// Tells Envoy's router that the endpoint is starting, if it is. If there is no retry, the client gets what Milvus says.
    fn rest_write_not_ready(
        &mut self,
        stream: &mut (impl Response + Counters),
        readiness: Readiness,
    ) {
        self.pool.metrics.not_ready(self.call, stream);
        if readiness == Readiness::Starting {
            mark::mark_rest(stream);
        }
    }

    /// Notes what the answer says, and before that what could not be noted while it was unknown whether the call is traced.
    fn note_answer(&mut self, stream: &mut (impl Request + AccessLog)) {
        if self.noting.resolve(stream) {
            self.note_call(stream);
            if let Messages::Grpc(reading) = &self.messages {
                reading.note_question(self.asks != Asks::Unchanged, stream);
            }
        }
        match &self.messages {
            Messages::Grpc(reading) if self.noting == Noting::Yes => reading.note_answer(stream),
            Messages::Rest(reading) if self.noting == Noting::Yes => reading.note(stream),
            Messages::Unread | Messages::Grpc(_) | Messages::Rest(_) => {}
        }
    }
}

/// Reads the readiness from what has arrived of a response, and says whether `head` is full. The first piece is nearly
/// always enough, and is read without a copy.
fn read(
    head: &mut Vec<u8>,
    at: MilvusStatusLocation,
    stream: &impl ResponseBody,
) -> (Readiness, bool) {
    if head.is_empty() {
        let readiness = readiness(stream.response_body_start(), at);
        if readiness != Readiness::Unknown {
            return (readiness, false);
        }
    }
    stream.copy_response_body(head, HEAD_LIMIT);
    (readiness(head, at), head.len() >= HEAD_LIMIT)
}

/// What the REST call at a `:path` does; None if it does something else, such as several steps that change something.
fn effect_of(path: Option<&[u8]>) -> Option<Effect> {
    match Call::of_rest(rpc_of(path.unwrap_or_default())) {
        Call::Milvus(rpc) if rpc.repeatable => Some(Effect::Reads),
        Call::Milvus(rpc) if rpc.class == Class::Write => Some(Effect::Writes),
        _ => None,
    }
}

/// Whether a response has a body of Milvus's, with a code in it.
fn is_json(stream: &impl Response) -> bool {
    let content_type = stream.response_header("content-type").unwrap_or_default();
    stream.response_header(":status") == Some(b"200")
        && content_type.starts_with(b"application/json")
}

/// Whether a response is gRPC. Only a response that looks like "not ready" is checked, since to find a header takes time.
fn is_grpc(stream: &impl Response) -> bool {
    let content_type = stream.response_header("content-type").unwrap_or_default();
    stream.response_header(":status") == Some(b"200")
        && content_type.starts_with(b"application/grpc")
}

#[cfg(test)]
mod tests;
