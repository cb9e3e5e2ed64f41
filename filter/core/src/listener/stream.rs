//! The filter of one stream in a listener: the order in which its parts see the stream.

use crate::host::body::{RequestBody, ResponseBody};
use crate::host::clock::Clock;
use crate::host::counters::Counters;
use crate::host::own_call::{Caller, OwnCallId};
use crate::host::request::{AccessLog, Connected, Destination, Request, Routed, StreamNote};
use crate::host::response::Response;
use crate::host::wake::Wakeable;
use crate::host::{Action, Verdict};
use crate::listener::cache::visit::{Step, Visit};
use crate::listener::gate::Gate;
use crate::listener::hooks;
use crate::listener::route::RouteConfig;
use crate::listener::settings::Settings;

/// What the filter needs of a stream while its request is decided about.
pub trait Asking:
    Request
    + Connected
    + Destination
    + RequestBody
    + Routed<RouteConfig>
    + AccessLog
    + StreamNote
    + Counters
    + Clock
    + Wakeable
    + Caller
{
}

impl<T> Asking for T where
    T: Request
        + Connected
        + Destination
        + RequestBody
        + Routed<RouteConfig>
        + AccessLog
        + StreamNote
        + Counters
        + Clock
        + Wakeable
        + Caller
{
}

/// The filter of one stream. The cache comes first: an answer that it has costs Milvus nothing, so nothing limits it.
#[derive(Debug)]
pub struct Listener<'listener> {
    /// None: the route has no cache.
    visit: Option<Visit<'listener>>,
    gate: Gate<'listener>,
    settings: &'listener Settings,
}

impl<'listener> Listener<'listener> {
    pub fn new(settings: &'listener Settings) -> Self {
        Self { visit: None, gate: Gate::new(settings), settings }
    }

    pub fn on_request_headers(&mut self, stream: &mut impl Asking, end: bool) -> Verdict {
        let has_cache = match hooks::on_request_headers(stream) {
            Ok(has_cache) => has_cache,
            Err(reply) => return Verdict::Reply(reply),
        };
        let step = if has_cache {
            self.visit.insert(Visit::new(self.settings)).on_request_headers(stream, end)
        } else {
            Step::Pass
        };
        let verdict = match step {
            Step::Pass | Step::Release => self.gate.on_request_headers(stream, end),
            Step::Hold => Verdict::Hold,
            Step::Reply(reply) => Verdict::Reply(reply),
        };
        self.sent(verdict, stream)
    }

    pub fn on_request_body(&mut self, stream: &mut impl Asking, end: bool) -> Verdict {
        let verdict = match self.step(|visit| visit.on_request_body(stream, end)) {
            Step::Pass => self.gate.on_request_body(stream, end),
            Step::Release => self.gate.on_released(stream, end),
            Step::Hold => Verdict::Hold,
            Step::Reply(reply) => Verdict::Reply(reply),
        };
        self.sent(verdict, stream)
    }

    pub fn on_request_trailers(&mut self, stream: &mut impl Asking) -> Verdict {
        let verdict = match self.step(|visit| visit.on_request_trailers(stream)) {
            Step::Pass => self.gate.on_request_trailers(stream),
            Step::Release => self.gate.on_released(stream, true),
            Step::Hold => Verdict::Hold,
            Step::Reply(reply) => Verdict::Reply(reply),
        };
        self.sent(verdict, stream)
    }

    pub fn on_wake(&mut self, stream: &mut impl Asking) -> Verdict {
        let verdict = match self.step(|visit| visit.on_wake(stream)) {
            Step::Pass => self.gate.on_wake(stream),
            Step::Release => self.gate.on_released(stream, true),
            Step::Hold => Verdict::Hold,
            Step::Reply(reply) => Verdict::Reply(reply),
        };
        self.sent(verdict, stream)
    }

    /// A call of the filter's own has ended.
    pub fn on_own_call_done(
        &mut self,
        stream: &mut impl Asking,
        id: OwnCallId,
        answer: Option<&[u8]>,
    ) -> Verdict {
        let verdict = match self.step(|visit| visit.on_own_call_done(stream, id, answer)) {
            Step::Release => self.gate.on_released(stream, true),
            Step::Pass | Step::Hold => Verdict::Hold,
            Step::Reply(reply) => Verdict::Reply(reply),
        };
        self.sent(verdict, stream)
    }

    /// A call that nothing holds any more is sent, and one that is answered here is not.
    fn sent(&mut self, verdict: Verdict, stream: &impl Clock) -> Verdict {
        match (&mut self.visit, &verdict) {
            (Some(visit), Verdict::Continue) => visit.on_sent(stream),
            (Some(visit), Verdict::Reply(_)) => visit.on_refused(),
            _ => {}
        }
        verdict
    }

    fn step(&mut self, step: impl FnOnce(&mut Visit<'listener>) -> Step) -> Step {
        self.visit.as_mut().map_or(Step::Pass, step)
    }

    pub fn on_response_headers(
        &mut self,
        stream: &mut (impl Response + Clock + Counters),
        end: bool,
    ) -> Action {
        self.gate.on_response_headers(stream, end);
        self.visit.as_mut().map_or(Action::Continue, |visit| visit.on_response_headers(stream, end))
    }

    pub fn on_response_body(
        &mut self,
        stream: &mut (impl Response + ResponseBody + Clock + Routed<RouteConfig>),
        end: bool,
    ) -> Action {
        self.gate.on_response_body(stream);
        self.visit.as_mut().map_or(Action::Continue, |visit| visit.on_response_body(stream, end))
    }

    pub fn on_response_trailers(&mut self, stream: &mut (impl Response + Clock)) {
        if let Some(visit) = &mut self.visit {
            visit.on_response_trailers(stream);
        }
    }

    pub fn on_stream_complete(
        &mut self,
        stream: &mut (impl Counters + Clock + AccessLog + Routed<RouteConfig>),
    ) {
        self.gate.on_stream_complete(stream);
        if let Some(mut visit) = self.visit.take() {
            visit.on_stream_complete(stream);
        }
    }
}
