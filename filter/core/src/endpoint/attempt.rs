//! One attempt at an endpoint: its metrics, and what Envoy's retry and outlier detection are told about the endpoint.

use std::time::Instant;

use crate::endpoint::reading::Reading;
use crate::host::body::{RequestBody, ResponseBody};
use crate::host::clock::Clock;
use crate::host::counters::Counters;
use crate::host::request::{AccessLog, Request};
use crate::host::response::Response;
use crate::host::Action;
use crate::mark;
use crate::metrics::attempts::AttemptMetrics;
use crate::metrics::status_label;
use crate::milvus::call::Call;
use crate::milvus::rpc::StatusAt;
use crate::milvus::statuses::{readiness, Readiness};

/// The most bytes of a response that are read. A status that says "not ready" needs a tenth of it; a response whose
/// readiness is unknown after them is passed on.
const HEAD_LIMIT: usize = 4096;

const GRPC_STATUS: &str = "grpc-status";

/// Which of Milvus's two APIs the endpoints of a pool serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Grpc,
    /// The bodies of its responses are not read.
    Rest,
}

/// One attempt at an endpoint.
#[derive(Debug)]
pub struct Attempt<'pool> {
    api: Api,
    /// Whether the access log gets what the messages of the call say.
    logs: bool,
    metrics: &'pool AttemptMetrics,
    call: Call,
    /// When the request's headers came; None once the response has ended.
    began: Option<Instant>,
    status_label: &'static str,
    state: State,
    reading: Option<Box<Reading>>,
}

#[derive(Debug)]
enum State {
    /// The response is passed on: its call has no Milvus status to read, or the status has been read.
    Passing,
    /// The response has not begun.
    Waiting(StatusAt),
    /// The response's headers are held; these are the first bytes of its body, where the first piece was too short.
    Reading(StatusAt, Vec<u8>),
    /// The endpoint is not ready, and the response's message is dropped.
    Refusing,
}

impl<'pool> Attempt<'pool> {
    pub fn new(api: Api, logs: bool, metrics: &'pool AttemptMetrics) -> Self {
        Self {
            api,
            logs,
            metrics,
            call: Call::Rest,
            began: None,
            status_label: status_label::NONE,
            state: State::Passing,
            reading: None,
        }
    }

    /// Counts the attempt by its call.
    pub fn on_request_headers(&mut self, stream: &mut (impl Request + Counters + Clock)) {
        self.began = Some(stream.now());
        if self.api == Api::Grpc {
            self.call = Call::of_grpc(stream.request_header(":path"));
        }
        self.metrics.began(self.call, stream);
        if let (Call::Milvus(rpc), true) = (self.call, self.logs) {
            self.reading = Some(Box::new(Reading::new(rpc)));
        }
        match self.call {
            Call::Milvus(rpc) if rpc.status != StatusAt::Nowhere => {
                self.state = State::Waiting(rpc.status);
            }
            _ => {}
        }
    }

    /// Reads the request for the access log.
    pub fn on_request_body(
        &mut self,
        stream: &mut (impl RequestBody + Request + AccessLog),
        end: bool,
    ) {
        if let Some(reading) = &mut self.reading {
            reading.on_request_body(stream, end);
        }
    }

    /// Holds the headers of a response that has a message, until `on_response_body` knows the endpoint's readiness.
    pub fn on_response_headers(
        &mut self,
        stream: &mut (impl Response + Counters + Clock + AccessLog),
        end: bool,
    ) -> Action {
        match self.api {
            Api::Rest => {
                self.status_label = status_label::of_http(stream.response_header(":status"));
            }
            Api::Grpc if end => {
                self.status_label = status_label::of_grpc(stream.response_header(GRPC_STATUS));
            }
            Api::Grpc => {}
        }
        if end {
            self.state = State::Passing;
            self.ended(stream);
        }
        let State::Waiting(at) = self.state else { return Action::Continue };
        self.state = State::Reading(at, Vec::new());
        Action::Hold
    }

    /// Reads the endpoint's readiness from the first bytes of a message.
    pub fn on_response_body(
        &mut self,
        stream: &mut (impl Response + ResponseBody + Counters + Clock + AccessLog),
        end: bool,
    ) -> Action {
        if let Some(reading) = &mut self.reading {
            reading.on_response_body(stream);
        }
        if end {
            self.ended(stream);
        }
        let (readiness, full) = match &mut self.state {
            State::Reading(at, head) => read(head, *at, stream),
            State::Refusing => {
                stream.drop_response_body();
                return Action::Continue;
            }
            State::Passing | State::Waiting(_) => return Action::Continue,
        };
        if readiness == Readiness::Unknown && !full && !end {
            return Action::Hold;
        }
        self.state = State::Passing;
        if readiness == Readiness::NotReady && is_grpc(stream) {
            self.not_ready(stream);
        }
        Action::Continue
    }

    /// Counts the response by the status it ends with.
    pub fn on_response_trailers(
        &mut self,
        stream: &mut (impl Response + Counters + Clock + AccessLog),
    ) {
        if self.api == Api::Grpc {
            self.status_label = status_label::of_grpc(stream.response_trailer(GRPC_STATUS));
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
    fn not_ready(&mut self, stream: &mut (impl Response + ResponseBody + Counters)) {
        self.metrics.not_ready(self.call, stream);
        if matches!(self.call, Call::Milvus(rpc) if rpc.repeatable) {
            mark::refuse(stream);
            stream.drop_response_body();
            self.state = State::Refusing;
        } else {
            mark::mark(stream);
        }
    }

    fn ended(&mut self, stream: &mut (impl Counters + Clock + AccessLog)) {
        if let Some(began) = self.began.take() {
            if let Some(reading) = &self.reading {
                reading.note_answer(stream);
            }
            let elapsed = stream.now().saturating_duration_since(began);
            let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            self.metrics.ended(self.status_label, milliseconds, stream);
        }
    }
}

/// Reads the readiness from what has arrived of a response, and says whether `head` is full. The first piece is nearly
/// always enough, and is read without a copy.
fn read(head: &mut Vec<u8>, at: StatusAt, stream: &impl ResponseBody) -> (Readiness, bool) {
    if head.is_empty() {
        let readiness = readiness(stream.response_body_start(), at);
        if readiness != Readiness::Unknown {
            return (readiness, false);
        }
    }
    stream.copy_response_body(head, HEAD_LIMIT);
    (readiness(head, at), head.len() >= HEAD_LIMIT)
}

/// Whether a response is gRPC. Only a response that looks like "not ready" is checked, since to find a header takes time.
fn is_grpc(stream: &impl Response) -> bool {
    let content_type = stream.response_header("content-type").unwrap_or_default();
    stream.response_header(":status") == Some(b"200")
        && content_type.starts_with(b"application/grpc")
}

#[cfg(test)]
mod tests;
