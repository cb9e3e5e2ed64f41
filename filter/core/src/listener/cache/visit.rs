//! What the cache does with one call: it answers it, has it wait for another one's answer, keeps its answer, or sees that it
//! changes what is kept. All other calls go on as if the cache were not there.

use std::sync::Arc;
use std::time::Instant;

use crate::cache::pool::{Decision, Fill, Hit, Outcome, Patience, Seat, Watch};
use crate::cache::question::headers::{unusual, Header};
use crate::cache::question::structural::{is_structural_grpc, is_structural_rest};
use crate::cache::question::suffix::Suffix;
use crate::cache::question::{message_of, read, Method};
use crate::cache::read::Read;
use crate::cache::reason::Reason;
use crate::calls::Cached;
use crate::host::body::ResponseBody;
use crate::host::clock::Clock;
use crate::host::own_call::OwnCallId;
use crate::host::request::{AccessLog, Request, Routed};
use crate::host::response::{LocalReply, Response};
use crate::host::Action;
use crate::listener::asked::{api_of, Api};
use crate::listener::cache::answer::{begins_well, Answer};
use crate::listener::cache::asking::{cache_of, caller_of, Asking};
use crate::listener::cache::change::{Announced, Changing};
use crate::listener::cache::client_call::ClientCall;
use crate::listener::cache::held::{self, Held};
use crate::listener::cache::learning::{due, Learning};
use crate::listener::route::RouteConfig;
use crate::listener::settings::Settings;
use crate::milvus::call::Call;
use crate::milvus::rpc::{MilvusStatusLocation, Rpc};

/// The header that says what the cache did.
const HEADER: &str = "kiteway-cache";

/// HTTP's methods that change nothing (RFC 9110, 9.2.1).
const READING_METHODS: [&[u8]; 3] = [b"GET", b"HEAD", b"OPTIONS"];
/// Nearly every request has fewer headers than this.
const USUAL_HEADERS: usize = 24;

/// What becomes of the part of a request that a hook has seen.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The cache has nothing to do with it.
    Pass,
    /// It is held.
    Hold,
    /// All that was held goes on, and the cache has nothing to do with the rest.
    Release,
    Reply(LocalReply),
}

/// One call's visit to the cache.
#[derive(Debug)]
pub struct Visit<'listener> {
    settings: &'listener Settings,
    stage: Stage,
    /// The read, from its decision to its end.
    call: Option<Box<ClientCall>>,
}

/// Where a call is.
#[derive(Debug, Default)]
enum Stage {
    /// The cache has nothing to do with it, or nothing more.
    #[default]
    Outside,
    /// Its request is held until it has arrived.
    Reading(Asked, Box<Held>),
    /// It waits for calls that the cache makes on its behalf.
    Learning(Asked, Box<(Read, Learning)>),
    /// It waits for the answer to another call.
    Waiting(Asked, Box<Seat>),
    /// Its answer may be kept.
    Filling(Box<Filling>),
    /// It is forwarded as it is.
    Forwarded(Reason, Option<Watch>),
    /// It may change something, and Milvus does not have all of its request.
    Announced(Box<Announced>),
    /// It may have changed something.
    Changing(Box<Changing>),
}

/// What the path says of a read, and when it came.
#[derive(Clone, Copy, Debug)]
struct Asked {
    method: Method,
    rpc: &'static Rpc,
    began: Instant,
}

#[derive(Debug)]
struct Filling {
    fill: Fill,
    answer: Answer,
}

impl<'listener> Visit<'listener> {
    pub fn new(settings: &'listener Settings) -> Self {
        Self { settings, stage: Stage::default(), call: None }
    }

    /// Begins with a call whose route has a cache; `end` says that the request has no body.
    pub fn on_request_headers(&mut self, stream: &mut impl Asking, end: bool) -> Step {
        let Some(cache) = cache_of(stream) else { return Step::Pass };
        let path = stream.request_header(":path").unwrap_or_default();
        let pool = || Arc::clone(&cache.pool);
        let mut announced = match api_of(stream) {
            Api::Grpc => {
                let rpc = match Call::of_grpc(Some(path)) {
                    Call::Milvus(rpc) => Some(rpc),
                    Call::OtherGrpc | Call::Rest => None,
                };
                if let Some((method, rpc)) = rpc.and_then(|rpc| Some((Method::of(rpc)?, rpc))) {
                    if end || !cache.config.reads {
                        return Step::Pass;
                    }
                    let began = stream.now();
                    self.stage = Stage::Reading(Asked { method, rpc, began }, Box::default());
                    return Step::Hold;
                }
                if !is_structural_grpc(path) {
                    return Step::Pass;
                }
                let status = rpc.map_or(MilvusStatusLocation::Nowhere, |rpc| rpc.milvus_status);
                Announced::grpc(pool(), caller_of(stream), status)
            }
            Api::Rest => {
                let method = stream.request_header(":method").unwrap_or_default();
                if READING_METHODS.contains(&method) || !is_structural_rest(path) {
                    return Step::Pass;
                }
                Announced::rest(pool(), caller_of(stream))
            }
        };
        if end {
            announced.ended();
        }
        let step = if announced.waits() { Step::Hold } else { Step::Pass };
        self.stage = Stage::Announced(Box::new(announced));
        step
    }

    /// Reads a request; `end` says that it has arrived.
    pub fn on_request_body(&mut self, stream: &mut impl Asking, end: bool) -> Step {
        match &mut self.stage {
            Stage::Reading(asked, _) if end => {
                let asked = *asked;
                self.decide(asked, stream)
            }
            Stage::Reading(asked, held) => match held.read(stream) {
                Ok(()) => Step::Hold,
                Err(reason) => {
                    let asked = *asked;
                    let headers = headers_of(stream);
                    self.begin_call(asked, &headers, &held::all(stream));
                    self.bypass(reason, stream)
                }
            },
            Stage::Announced(announced) => {
                let waited = announced.waits();
                announced.read(stream);
                if end {
                    announced.ended();
                }
                match (waited, announced.waits()) {
                    (false, _) => Step::Pass,
                    (true, false) => Step::Release,
                    (true, true) => Step::Hold,
                }
            }
            Stage::Learning(..) | Stage::Waiting(..) => Step::Hold,
            _ => Step::Pass,
        }
    }

    /// The request ends with trailers.
    pub fn on_request_trailers(&mut self, stream: &mut impl Asking) -> Step {
        match &mut self.stage {
            Stage::Reading(asked, _) => {
                let asked = *asked;
                self.decide(asked, stream)
            }
            Stage::Announced(announced) => {
                let waited = announced.waits();
                announced.ended();
                if waited {
                    Step::Release
                } else {
                    Step::Pass
                }
            }
            Stage::Learning(..) | Stage::Waiting(..) => Step::Hold,
            _ => Step::Pass,
        }
    }

    /// A call that waits has been woken.
    pub fn on_wake(&mut self, stream: &mut impl Asking) -> Step {
        let (asked, seat) = match std::mem::take(&mut self.stage) {
            Stage::Waiting(asked, seat) => (asked, seat),
            other => {
                self.stage = other;
                return Step::Pass;
            }
        };
        match seat.outcome(stream.boot_time()) {
            Outcome::Still(seat) => {
                self.stage = Stage::Waiting(asked, Box::new(seat));
                Step::Hold
            }
            Outcome::Answer(hit) => self.reply(Cached::Joined, hit, stream),
            Outcome::Lead(fill) => {
                let frame = held::all(stream);
                self.fill(asked, fill, frame, stream)
            }
            Outcome::Forward(reason) => self.forward(reason, None, stream),
            // Envoy ends it by itself at that time.
            Outcome::Expired => self.forward(Reason::Waited, None, stream),
        }
    }

    /// The request is sent: from now on it is Milvus that takes its time.
    pub fn on_sent(&mut self, stream: &impl Clock) {
        match &mut self.stage {
            Stage::Announced(announced) => {
                announced.sent();
                if announced.is_whole() {
                    self.begin(stream);
                }
            }
            Stage::Filling(filling) => filling.fill.sent(stream.boot_time()),
            Stage::Forwarded(_, Some(watch)) => watch.sent(stream.boot_time()),
            _ => {}
        }
    }

    /// The request is answered by Kiteway itself, and not sent.
    pub fn on_refused(&mut self) {
        if matches!(self.stage, Stage::Filling(_) | Stage::Announced(_)) {
            self.stage = Stage::Outside;
        }
    }

    /// Says in the answer's headers what the cache did; `end` says that the answer has no body.
    pub fn on_response_headers(
        &mut self,
        stream: &mut (impl Response + Clock),
        end: bool,
    ) -> Action {
        // Milvus may answer a request that has not ended.
        if matches!(&self.stage, Stage::Announced(announced) if announced.is_sent()) {
            self.begin(stream);
        }
        match std::mem::take(&mut self.stage) {
            // Envoy's own answer to a request that took too long, or the cache's.
            Stage::Outside
            | Stage::Reading(..)
            | Stage::Learning(..)
            | Stage::Waiting(..)
            | Stage::Announced(_) => {}
            Stage::Forwarded(reason, watch) => {
                if let Some(watch) = watch {
                    watch.answering(stream.boot_time());
                }
                stream.set_response_header(HEADER, &format!("bypass; reason={}", reason.label()));
            }
            Stage::Filling(mut filling) => {
                filling.fill.answering(stream.boot_time());
                stream.set_response_header(HEADER, Cached::Miss.label());
                self.stage = Stage::Filling(filling);
                match begins_well(stream) {
                    Ok(()) if !end => {}
                    Ok(()) => self.give_up(None, stream),
                    Err(reason) => self.give_up(reason, stream),
                }
            }
            Stage::Changing(mut changing) => {
                let action = changing.on_response_headers(stream, end);
                self.stage = Stage::Changing(changing);
                return action;
            }
        }
        Action::Continue
    }

    /// Copies an answer that may be kept, and holds one that may say that something has changed.
    pub fn on_response_body(
        &mut self,
        stream: &mut (impl Response + ResponseBody + Clock),
        end: bool,
    ) -> Action {
        match &mut self.stage {
            Stage::Filling(filling) => {
                let Filling { fill, answer } = &mut **filling;
                if let Err(reason) = answer.push(stream, |bytes| fill.reserve(bytes)) {
                    self.give_up(Some(reason), stream);
                } else if end {
                    // Without trailers there is no status.
                    self.abandon(stream);
                }
                Action::Continue
            }
            Stage::Changing(changing) => changing.on_response_body(stream, end),
            _ => Action::Continue,
        }
    }

    /// Keeps an answer that is wholly good.
    pub fn on_response_trailers(&mut self, stream: &mut (impl Response + Clock)) {
        match std::mem::take(&mut self.stage) {
            Stage::Filling(filling) => {
                let Filling { fill, answer } = *filling;
                let is_ok = stream.response_trailer("grpc-status") == Some(b"0");
                let now = stream.boot_time();
                match answer.success() {
                    Ok(answer) if is_ok => fill.finish(answer.into(), now),
                    Err(Some(reason)) if is_ok => fill.cannot_be_kept(reason, now),
                    _ => fill.lost(now),
                }
            }
            Stage::Changing(mut changing) => changing.on_response_trailers(stream),
            _ => {}
        }
    }

    /// The stream is over, in whatever way.
    pub fn on_stream_complete(
        &mut self,
        stream: &mut (impl Clock + AccessLog + Routed<RouteConfig>),
    ) {
        if let Some(call) = self.call.take() {
            call.complete(stream);
        }
        self.abandon(stream);
    }

    /// No more comes of the answer, or none of it is wanted any more.
    fn abandon(&mut self, stream: &impl Clock) {
        match std::mem::take(&mut self.stage) {
            Stage::Filling(filling) => filling.fill.lost(stream.boot_time()),
            Stage::Changing(changing) => changing.on_stream_complete(stream),
            _ => {}
        }
    }

    /// A call that was made on behalf of the read has ended, with this body of an answer, or with none.
    pub fn on_own_call_done(
        &mut self,
        stream: &mut impl Asking,
        id: OwnCallId,
        answer: Option<&[u8]>,
    ) -> Step {
        let Stage::Learning(_, waiting) = &mut self.stage else { return Step::Pass };
        if !waiting.1.on_own_call_done(stream, id, answer) {
            return Step::Hold;
        }
        match std::mem::take(&mut self.stage) {
            Stage::Learning(asked, waiting) => self.ask(asked, &waiting.0, None, stream),
            _ => Step::Hold,
        }
    }

    /// Decides about a read that has arrived.
    fn decide(&mut self, asked: Asked, stream: &mut impl Asking) -> Step {
        let Some(cache) = cache_of(stream) else { return self.leave() };
        let frame = held::all(stream);
        let headers = headers_of(stream);
        self.begin_call(asked, &headers, &frame);
        let read = message_of(&frame).and_then(|message| read(asked.method, &headers, message));
        let read = match read {
            Ok(read) => read,
            Err(reason) => return self.bypass(reason, stream),
        };
        let due = due(&read, stream);
        // A stranger can invent any.
        if due.as_ref().is_some_and(|due| due.is_known) {
            for name in unusual(&headers) {
                cache.pool.keeps_apart(&String::from_utf8_lossy(name));
            }
        }
        let cluster = cache.config.cluster.clone();
        let learning = due.zip(cluster);
        let learning =
            learning.and_then(|(due, cluster)| Learning::begin(due, &cluster, &read, stream));
        match learning {
            Some(learning) => {
                self.stage = Stage::Learning(asked, Box::new((read, learning)));
                Step::Hold
            }
            None => self.ask(asked, &read, Some(frame), stream),
        }
    }

    /// Asks the pool what to do with a read. `frame` is its message, where it is at hand.
    fn ask(
        &mut self,
        asked: Asked,
        read: &Read,
        frame: Option<Vec<u8>>,
        stream: &mut impl Asking,
    ) -> Step {
        let Some(cache) = cache_of(stream) else { return self.leave() };
        let Some(terms) = cache.terms(&read.database, &read.collection) else {
            cache.pool.bypassed(Reason::Disabled);
            return self.forward(Reason::Disabled, None, stream);
        };
        let frame = frame.unwrap_or_else(|| held::all(stream));
        let now = stream.boot_time();
        // Envoy itself ends a call whose own time is over: the routes have `max_stream_duration`.
        let patience = Patience { now: stream.now(), deadline: None, bytes: frame.len() as u64 };
        match cache.pool.ask(read, terms, now, patience, || stream.waker()) {
            Decision::Hit(hit) => {
                self.stage = Stage::Outside;
                self.reply(Cached::Hit, hit, stream)
            }
            Decision::Join(seat) => {
                self.stage = Stage::Waiting(asked, Box::new(seat));
                Step::Hold
            }
            Decision::Fill(fill) => self.fill(asked, fill, frame, stream),
            Decision::Forward(reason, watch) => self.forward(reason, watch, stream),
        }
    }

    /// Milvus may make a change from now on.
    fn begin(&mut self, stream: &impl Clock) {
        match std::mem::take(&mut self.stage) {
            Stage::Announced(announced) => {
                self.stage = Stage::Changing(Box::new(announced.begins(stream.boot_time())));
            }
            other => self.stage = other,
        }
    }

    /// The route has no cache any more.
    fn leave(&mut self) -> Step {
        self.stage = Stage::Outside;
        Step::Release
    }

    /// Sends a read so that its answer may be kept.
    fn fill(
        &mut self,
        asked: Asked,
        fill: Fill,
        mut frame: Vec<u8>,
        stream: &mut impl Asking,
    ) -> Step {
        if let Some(guarantee) = fill.ask_for() {
            held::append(&mut frame, Suffix::asking_for(asked.method, guarantee).bytes());
            stream.replace_request_body(&frame);
            if stream.request_header("content-length").is_some() {
                stream.set_request_header("content-length", &frame.len().to_string());
            }
        }
        let most = cache_of(stream).map_or(0, |cache| cache.config.max_entry_bytes);
        let answer = Answer::new(most, asked.rpc.milvus_status);
        self.stage = Stage::Filling(Box::new(Filling { fill, answer }));
        self.is_sent(Cached::Miss, stream);
        Step::Release
    }

    /// Forwards a request that the cache cannot read.
    fn bypass(&mut self, reason: Reason, stream: &mut impl Asking) -> Step {
        if let Some(cache) = cache_of(stream) {
            cache.pool.bypassed(reason);
        }
        self.forward(reason, None, stream)
    }

    fn forward(&mut self, reason: Reason, watch: Option<Watch>, stream: &mut impl Asking) -> Step {
        self.stage = Stage::Forwarded(reason, watch);
        self.is_sent(Cached::Bypass, stream);
        Step::Release
    }

    /// The read has arrived, or so much of it that the cache has nothing to do with it.
    fn begin_call(&mut self, asked: Asked, headers: &[Header<'_>], request: &[u8]) {
        let Asked { rpc, began, .. } = asked;
        let call = ClientCall::new(rpc, began, headers, request, self.settings);
        self.call = Some(Box::new(call));
    }

    fn is_sent(&mut self, cached: Cached, stream: &mut impl AccessLog) {
        if let Some(call) = &mut self.call {
            call.sent(cached, stream);
        }
    }

    /// Answers a call with what is kept.
    fn reply(&mut self, cached: Cached, hit: Hit, stream: &mut impl Asking) -> Step {
        if let Some(call) = self.call.take() {
            call.answered(cached, &hit.answer, stream);
        }
        let age = hit.age.as_secs_f64();
        let header = (HEADER, format!("{}; age={age:.1}", cached.label()));
        Step::Reply(LocalReply::Stored { header, body: hit.answer })
    }

    /// The answer to a fill cannot be kept; `reason` says why no other one can, if it is known.
    fn give_up(&mut self, reason: Option<Reason>, stream: &impl Clock) {
        if let Stage::Filling(filling) = std::mem::take(&mut self.stage) {
            match reason {
                Some(reason) => filling.fill.cannot_be_kept(reason, stream.boot_time()),
                None => filling.fill.lost(stream.boot_time()),
            }
        }
    }
}

fn headers_of(request: &impl Request) -> Vec<Header<'_>> {
    let mut headers = Vec::with_capacity(USUAL_HEADERS);
    request.each_request_header(|name, value| headers.push((name, value)));
    headers
}
