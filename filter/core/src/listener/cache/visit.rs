//! What the cache does with one call: it answers the call, lets it wait for the answer to another one, stores its answer, or sees
//! that it changes what is stored. All other calls go on as if the cache were not there.

mod answering;
mod deciding;
mod looking;

use std::sync::Arc;
use std::time::Instant;

use crate::cache::pool::{Fill, Outcome, Seat, Watch};
use crate::cache::question::glance::Credentials;
use crate::cache::question::method::Method;
use crate::cache::question::structural::{is_structural_grpc, is_structural_rest};
use crate::cache::read::Read;
use crate::cache::reason::Reason;
use crate::calls::Cached;
use crate::host::clock::Clock;
use crate::host::own_call::OwnCallId;
use crate::host::request::Request;
use crate::host::response::LocalReply;
use crate::listener::asked::{api_of, Api};
use crate::listener::cache::answer::Answer;
use crate::listener::cache::asking::{cache_of, caller_of, headers_of, Asking};
use crate::listener::cache::change::{Announced, Changing};
use crate::listener::cache::client_call::ClientCall;
use crate::listener::cache::held::{self, Held};
use crate::listener::cache::learning::Learning;
use crate::listener::cache::route::CacheRoute;
use crate::listener::cache::visit::looking::look_at_sent;
use crate::listener::settings::Settings;
use crate::milvus::call::Call;
use crate::milvus::rpc::{MilvusStatusLocation, Rpc};

/// The header that says what the cache did.
const HEADER: &str = "kiteway-cache";

/// HTTP's methods that change nothing (RFC 9110, 9.2.1).
const READING_METHODS: [&[u8]; 3] = [b"GET", b"HEAD", b"OPTIONS"];

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
    /// Calls that the cache makes while the read is on its way.
    learning: Option<Box<Learning>>,
    /// The read, from its decision to its end.
    call: Option<Box<ClientCall>>,
}

/// Where a call is.
#[derive(Debug, Default)]
enum Stage {
    /// The cache has nothing to do with it, or nothing more.
    #[default]
    Outside,
    /// It is sent while it arrives, and looked at once it has arrived.
    Glancing(Method, Credentials),
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
    /// Who asks; None: reads are not looked at.
    credentials: Option<Credentials>,
}

#[derive(Debug)]
struct Filling {
    fill: Fill,
    answer: Answer,
}

impl<'listener> Visit<'listener> {
    pub fn new(settings: &'listener Settings) -> Self {
        Self { settings, stage: Stage::default(), learning: None, call: None }
    }

    /// Begins with a call whose route has a cache; `end` says that the request has no body.
    pub fn on_request_headers(&mut self, stream: &mut impl Asking, end: bool) -> Step {
        let Some(cache) = cache_of(stream) else { return Step::Pass };
        let path = stream.request_header(":path").unwrap_or_default();
        let pool = || Arc::clone(&cache.pool);
        let rpc = match Call::of_grpc(Some(path)) {
            Call::Milvus(rpc) => Some(rpc),
            Call::OtherGrpc | Call::Rest => None,
        };
        // No path of REST is like this, so the header that tells gRPC need not be read.
        if let Some((method, rpc)) = rpc.and_then(|rpc| Some((Method::of(rpc)?, rpc))) {
            if end || !cache.config.reads {
                return Step::Pass;
            }
            return self.begin_read(method, rpc, cache, stream);
        }
        let mut announced = match api_of(stream) {
            Api::Grpc => {
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

    /// Begins a read. It is held until it has arrived completely, or sent at once and looked at as it passes.
    fn begin_read(
        &mut self,
        method: Method,
        rpc: &'static Rpc,
        cache: &CacheRoute,
        stream: &(impl Request + Clock),
    ) -> Step {
        let credentials = || Credentials::of(stream.request_header("authorization"));
        let credentials = cache.pool.looks().then(credentials);
        if let Some(credentials) = credentials.filter(|each| cache.pool.is_sent_at_once(*each)) {
            self.stage = Stage::Glancing(method, credentials);
            return Step::Pass;
        }
        let asked = Asked { method, rpc, began: stream.now(), credentials };
        self.stage = Stage::Reading(asked, Box::default());
        Step::Hold
    }

    /// Reads a request; `end` says that it has arrived.
    pub fn on_request_body(&mut self, stream: &mut impl Asking, end: bool) -> Step {
        match &mut self.stage {
            Stage::Glancing(method, credentials) => {
                let (method, credentials) = (*method, *credentials);
                self.stage = Stage::Outside;
                look_at_sent(method, credentials, stream);
                Step::Pass
            }
            Stage::Reading(asked, held) if end => {
                let (asked, held) = (*asked, std::mem::take(&mut **held));
                self.decide(asked, &held, stream)
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
            Stage::Reading(asked, held) => {
                let (asked, held) = (*asked, std::mem::take(&mut **held));
                self.decide(asked, &held, stream)
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

    /// A call that was made on behalf of the read has ended, with this body of an answer, or with none.
    pub fn on_own_call_done(
        &mut self,
        stream: &mut impl Asking,
        id: OwnCallId,
        answer: Option<&[u8]>,
    ) -> Step {
        if let Some(learning) = &mut self.learning {
            learning.on_own_call_done(stream, id, answer);
            return Step::Hold;
        }
        let Stage::Learning(_, waiting) = &mut self.stage else { return Step::Pass };
        if !waiting.1.on_own_call_done(stream, id, answer) {
            return Step::Hold;
        }
        match std::mem::take(&mut self.stage) {
            Stage::Learning(asked, waiting) => self.ask(asked, &waiting.0, None, stream),
            _ => Step::Hold,
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
}
