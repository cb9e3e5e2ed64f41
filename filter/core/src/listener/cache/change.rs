//! A call that may change what reads answer: its own answer is held until it is known how it ended.

use std::sync::Arc;

use crate::cache::caller::Caller;
use crate::cache::pool::{Change, Ended, Pool};
use crate::host::body::{RequestBody, ResponseBody};
use crate::host::clock::{BootTime, Clock};
use crate::host::response::Response;
use crate::host::Action;
use crate::listener::cache::held::{MAX_REQUEST, PREFIX};
use crate::milvus::milvus_status;
use crate::milvus::rest::{Body, SUCCESS};
use crate::milvus::rpc::MilvusStatusLocation;

/// The most bytes of an answer that are read. Milvus's status is at its beginning.
const MAX_HEAD: usize = 4096;
/// gRPC's statuses with which Milvus's proxy refuses a call before it does anything: PERMISSION_DENIED, UNIMPLEMENTED,
/// UNAUTHENTICATED.
const REFUSED: [&[u8]; 3] = [b"7", b"12", b"16"];
/// The same of HTTP.
const REFUSED_HTTP: [&[u8]; 5] = [b"401", b"403", b"404", b"405", b"429"];
/// Codes of Milvus that its proxy gives before it does anything: rate limit, not authenticated, not permitted, and REST's
/// own for the first two. Others may follow a change that was made: where Milvus repeats a rename within itself, the
/// second attempt says "collection not found".
const REFUSED_CODES: [u64; 5] = [8, 1400, 1401, 1800, 1807];

/// What is read of an answer.
#[derive(Debug)]
enum Head {
    /// A gRPC answer with its status there, and its beginning.
    Grpc(MilvusStatusLocation, Vec<u8>),
    Rest(Body),
}

impl Head {
    /// Whether the call is not known to have one request and one answer.
    fn is_stream(&self) -> bool {
        matches!(self, Self::Grpc(MilvusStatusLocation::Nowhere, _))
    }
}

/// A change that is under way.
#[derive(Debug)]
pub struct Changing {
    /// None: it is known how it ended.
    change: Option<Change>,
    head: Head,
}

/// A call that may change something, before Milvus has all of its request: a client that never ends it changes nothing, and
/// must not keep others from the cache.
#[derive(Debug)]
pub struct Announced {
    pool: Arc<Pool>,
    caller: Caller,
    head: Head,
    /// gRPC's bytes in front of the message.
    prefix: [u8; PREFIX],
    arrived: u64,
    has_ended: bool,
    /// Whether a part of it may have been sent.
    is_sent: bool,
}

impl Announced {
    /// A gRPC call whose answer has its status at `status`.
    pub fn grpc(pool: Arc<Pool>, caller: Caller, status: MilvusStatusLocation) -> Self {
        Self::new(pool, caller, Head::Grpc(status, Vec::new()))
    }

    /// A REST request.
    pub fn rest(pool: Arc<Pool>, caller: Caller) -> Self {
        Self::new(pool, caller, Head::Rest(Body::default()))
    }

    fn new(pool: Arc<Pool>, caller: Caller, head: Head) -> Self {
        let (prefix, arrived) = ([0; PREFIX], 0);
        Self { pool, caller, head, prefix, arrived, has_ended: false, is_sent: false }
    }

    /// Takes what the running body hook received.
    pub fn read(&mut self, stream: &impl RequestBody) {
        stream.read_request_body(|piece| {
            let begun = (self.arrived as usize).min(PREFIX);
            let part = piece.len().min(PREFIX - begun);
            self.prefix[begun..begun + part].copy_from_slice(&piece[..part]);
            self.arrived += piece.len() as u64;
        });
    }

    /// The request has arrived.
    pub fn ended(&mut self) {
        self.has_ended = true;
    }

    /// Whether the request is held until it has arrived. A stream is not: its client may wait for an answer first.
    pub fn waits(&self) -> bool {
        !self.head.is_stream() && !self.has_ended && !self.is_sent && self.arrived <= MAX_REQUEST
    }

    /// What has arrived is sent.
    pub fn sent(&mut self) {
        self.is_sent = true;
    }

    pub fn is_sent(&self) -> bool {
        self.is_sent
    }

    /// Whether Milvus has enough of it to act.
    pub fn is_whole(&self) -> bool {
        let [_, length @ ..] = self.prefix;
        let announced = u64::from(u32::from_be_bytes(length)) + PREFIX as u64;
        let is_message = matches!(self.head, Head::Grpc(..)) && self.arrived >= announced;
        self.is_sent && (self.has_ended || self.head.is_stream() || is_message)
    }

    /// Milvus may act from now on.
    pub fn begins(self, now: BootTime) -> Changing {
        let change = self.pool.change_begins(self.caller, now);
        Changing { change: Some(change), head: self.head }
    }
}

impl Changing {
    /// Holds the headers of an answer whose body says how the call ended; `end` says that there is none.
    pub fn on_response_headers(&mut self, stream: &(impl Response + Clock), end: bool) -> Action {
        let http = stream.response_header(":status").unwrap_or_default();
        let content_type = stream.response_header("content-type").unwrap_or_default();
        let grpc = stream.response_header("grpc-status");
        let (has_message, refused) = match self.head {
            Head::Grpc(MilvusStatusLocation::Nowhere, _) => (false, &REFUSED[..]),
            Head::Grpc(..) => (content_type.starts_with(b"application/grpc"), &REFUSED[..]),
            Head::Rest(_) => (content_type.starts_with(b"application/json"), &[][..]),
        };
        if http == b"200" && has_message && !end {
            return Action::Hold;
        }
        let change = self.change.as_mut().filter(|_| self.head.is_stream());
        if let (Some(change), b"200", None, false) = (change, http, grpc, end) {
            change.lasts();
            return Action::Continue;
        }
        let is_refused =
            grpc.is_some_and(|status| refused.contains(&status)) || REFUSED_HTTP.contains(&http);
        self.ends(if is_refused { Ended::Refused } else { Ended::Unanswered }, stream);
        Action::Continue
    }

    /// Holds the answer until it is known how the call ended; `end` says that no more of it comes.
    pub fn on_response_body(&mut self, stream: &(impl ResponseBody + Clock), end: bool) -> Action {
        if self.change.is_none() {
            return Action::Continue;
        }
        let (code, is_full) = match &mut self.head {
            Head::Grpc(MilvusStatusLocation::Nowhere, _) if !end => return Action::Continue,
            Head::Grpc(status, head) => {
                stream.copy_response_body(head, MAX_HEAD);
                (milvus_status::code(head, *status), head.len() >= MAX_HEAD)
            }
            Head::Rest(body) => {
                stream.read_response_body(|piece| body.push(piece));
                let code = body.code.map(|code| if SUCCESS.contains(&code) { 0 } else { code });
                (code, body.is_read())
            }
        };
        let ended = match code {
            Some(0) => Ended::Done,
            Some(code) if REFUSED_CODES.contains(&code) => Ended::Refused,
            Some(_) => Ended::Unclear,
            None if is_full || end => Ended::Unclear,
            None => return Action::Hold,
        };
        self.ends(ended, stream);
        Action::Continue
    }

    /// The answer ends, and with it what is held of it.
    pub fn on_response_trailers(&mut self, stream: &(impl Response + Clock)) {
        let status = stream.response_trailer("grpc-status").unwrap_or_default();
        self.ends(
            match &self.change {
                Some(change) if change.is_lasting() => Ended::Unclear,
                _ if REFUSED.contains(&status) => Ended::Refused,
                _ => Ended::Unanswered,
            },
            stream,
        );
    }

    /// The stream is over.
    pub fn on_stream_complete(mut self, stream: &impl Clock) {
        if self.change.as_ref().is_some_and(Change::is_lasting) {
            self.ends(Ended::Unclear, stream);
        }
    }

    fn ends(&mut self, ended: Ended, stream: &impl Clock) {
        if let Some(change) = self.change.take() {
            change.ends(ended, stream.boot_time());
        }
    }
}
