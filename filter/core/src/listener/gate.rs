//! Holds the calls of routes with a policy until they may pass, and answers those that may not.

use crate::admission::pool::{Turn, Waited};
use crate::calls::Event;
use crate::host::body::{RequestBody, ResponseBody};
use crate::host::clock::Clock;
use crate::host::counters::Counters;
use crate::host::request::{AccessLog, Request, Routed};
use crate::host::response::Response;
use crate::host::wake::Wakeable;
use crate::host::Verdict;
use crate::listener::passage::{Passage, Stage};
use crate::listener::refusal::Reason;
use crate::listener::route::RouteConfig;
use crate::listener::settings::Settings;

const UNAUTHENTICATED: (&[u8], &[u8]) = (b"16", b"401");

/// What the gate needs of a stream while it decides about the request.
pub trait Asking:
    Request + RequestBody + Routed<RouteConfig> + AccessLog + Counters + Clock + Wakeable
{
}

impl<T> Asking for T where
    T: Request + RequestBody + Routed<RouteConfig> + AccessLog + Counters + Clock + Wakeable
{
}

/// The gate of one call.
#[derive(Debug)]
pub struct Gate<'listener> {
    settings: &'listener Settings,
    /// None: nothing is limited, or it is decided and nothing has to be done any more.
    passage: Option<Box<Passage>>,
}

impl<'listener> Gate<'listener> {
    pub fn new(settings: &'listener Settings) -> Self {
        Self { settings, passage: None }
    }

    /// Holds the headers of a call that is limited until its request has been read; `end` says that it has no body.
    pub fn on_request_headers(&mut self, stream: &mut impl Asking, end: bool) -> Verdict {
        let is_limited = stream.route_config().is_some_and(|route| route.policy.is_some());
        if !is_limited {
            return Verdict::Continue;
        }
        self.passage = Passage::new(stream, stream.now()).map(Box::new);
        if let Some(passage) = &mut self.passage {
            passage.has_ended = end;
        }
        // A client that wants another protocol, with GET (RFC 6455, 4.1), sends nothing before it has the answer.
        let is_upgrade = stream.request_header("upgrade").is_some()
            && stream.request_header(":method") == Some(b"GET");
        let is_whole = end || is_upgrade;
        match self.passage {
            None => Verdict::Continue,
            Some(_) if is_whole => self.decide(stream),
            Some(_) => Verdict::Hold,
        }
    }

    /// Reads the request until it is known what it asks for, and decides.
    pub fn on_request_body(&mut self, stream: &mut impl Asking, end: bool) -> Verdict {
        let Some(passage) = &mut self.passage else { return Verdict::Continue };
        let is_read = passage.asked.read(stream, end);
        passage.has_ended = end;
        match passage.stage {
            Stage::Reading if is_read => self.decide(stream),
            Stage::Reading | Stage::Waiting(..) => Verdict::Hold,
            Stage::Inside(_) => {
                passage.charge();
                Verdict::Continue
            }
        }
    }

    /// Begins with a request that was held until now. All that has arrived of it is held, or in the running hook of its
    /// body; `end` says that no more comes.
    pub fn on_released(&mut self, stream: &mut impl Asking, end: bool) -> Verdict {
        let verdict = self.on_request_headers(stream, false);
        if verdict != Verdict::Hold {
            return verdict;
        }
        if let Some(passage) = &mut self.passage {
            passage.asked.read_held(stream);
        }
        self.on_request_body(stream, end)
    }

    /// The request ends with trailers.
    pub fn on_request_trailers(&mut self, stream: &mut impl Asking) -> Verdict {
        let Some(passage) = &mut self.passage else { return Verdict::Continue };
        passage.has_ended = true;
        match passage.stage {
            Stage::Reading => self.decide(stream),
            Stage::Waiting(..) => Verdict::Hold,
            Stage::Inside(_) => Verdict::Continue,
        }
    }

    /// A call that waits has been woken: it has its turn, or has waited in vain.
    pub fn on_wake(&mut self, stream: &mut impl Asking) -> Verdict {
        let Some(passage) = &mut self.passage else { return Verdict::Hold };
        let (place, pool) = match std::mem::replace(&mut passage.stage, Stage::Inside(None)) {
            Stage::Waiting(place, pool) => (place, pool),
            other => {
                passage.stage = other;
                return Verdict::Hold;
            }
        };
        match place.look(stream.now()) {
            Waited::Still(place) => {
                passage.stage = Stage::Waiting(place, pool);
                Verdict::Hold
            }
            Waited::Until(seat, waited) => {
                passage.stage = Stage::Inside(Some(seat));
                passage.charge();
                self.settings.metrics.left(&pool, stream);
                self.settings.metrics.waited(&pool, waited, stream);
                let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
                self.settings.count(&passage.asked, Event::Waited(micros), stream);
                Verdict::Continue
            }
            Waited::Denied(denied) => {
                self.settings.metrics.left(&pool, stream);
                self.refuse(Reason::Denied(denied), stream)
            }
        }
    }

    /// Milvus has begun to answer, so it works on the call no longer; `end` says that the answer has no body.
    pub fn on_response_headers(
        &mut self,
        stream: &mut (impl Response + Clock + Counters),
        end: bool,
    ) {
        let Some(passage) = &mut self.passage else { return };
        if !matches!(passage.stage, Stage::Inside(_)) {
            // Envoy's own answer, to a request that took too long.
            return self.on_stream_complete(stream);
        }
        passage.tickets.iter_mut().for_each(|ticket| ticket.land());
        if let Stage::Inside(seat) = &mut passage.stage {
            match seat.take() {
                // An error without message came from Envoy or from Milvus's door, and says nothing of the cost.
                Some(seat) if !end => seat.leave(stream.now()),
                other => drop(other),
            }
        }
        // Who is not the user has used nothing of the user's.
        let (grpc, http) = UNAUTHENTICATED;
        if stream.response_header("grpc-status") == Some(grpc)
            || stream.response_header(":status") == Some(http)
        {
            passage.give_back();
        }
        if end {
            self.passage = None;
        }
    }

    /// Reads from the beginning of the answer whether Milvus knows what was asked for.
    pub fn on_response_body(
        &mut self,
        stream: &(impl Response + ResponseBody + Clock + Routed<RouteConfig>),
    ) {
        let is_inside = |passage: &mut Box<Passage>| matches!(passage.stage, Stage::Inside(_));
        let Some(mut passage) = self.passage.take_if(is_inside) else { return };
        match passage.code(stream.response_body_start()) {
            Some(0) => {
                let rules = stream.route_config().and_then(|route| route.policy.as_ref());
                if let Some(rules) = rules {
                    passage.has_succeeded(&rules.known, stream.now());
                }
            }
            Some(_) => passage.give_back_rows(),
            None => {}
        }
    }

    /// The stream is over, in whatever way.
    pub fn on_stream_complete(&mut self, stream: &mut impl Counters) {
        let Some(passage) = self.passage.take() else { return };
        if let Stage::Waiting(_, pool) = &passage.stage {
            self.settings.metrics.left(pool, stream);
        }
    }

    /// Counts the call, and lets it in, now or later, or refuses it.
    fn decide(&mut self, stream: &mut impl Asking) -> Verdict {
        let now = stream.now();
        let Some(passage) = &mut self.passage else { return Verdict::Continue };
        passage.stage = Stage::Inside(None);
        let Some(rules) = stream.route_config().and_then(|route| route.policy.as_ref()) else {
            return Verdict::Continue;
        };
        if rules.needs_message && passage.asked.is_unreadable() {
            return self.refuse(Reason::Unreadable, stream);
        }
        if let Err(reason) = passage.count(rules, now) {
            return self.refuse(reason, stream);
        }
        let (Some(admission), Some(direction)) = (&rules.admission, passage.direction()) else {
            return Verdict::Continue;
        };
        let ask = passage.ask(&rules.known, now);
        match admission.pool.enter(direction, ask, admission.terms, now, || stream.waker()) {
            Ok(Turn::Now(seat)) => {
                passage.stage = Stage::Inside(Some(seat));
                Verdict::Continue
            }
            Ok(Turn::Later(place)) => {
                let name = admission.name.clone();
                self.settings.metrics.queued(&name, stream);
                passage.stage = Stage::Waiting(place, name);
                Verdict::Hold
            }
            Err(denied) => self.refuse(Reason::Denied(denied), stream),
        }
    }

    fn refuse(&mut self, reason: Reason, stream: &mut impl Asking) -> Verdict {
        let Some(mut passage) = self.passage.take() else { return Verdict::Continue };
        passage.give_back();
        self.settings.metrics.refused(reason.label(), stream);
        stream.note_refusal(reason.label());
        self.settings.note_refused(&passage.asked, reason.code(), stream);
        self.settings.count(&passage.asked, Event::Refused, stream);
        Verdict::Reply(passage.refusal(reason))
    }
}

#[cfg(test)]
mod tests;
