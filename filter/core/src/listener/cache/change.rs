//! A call that may change what reads answer: its own answer is held until it is known how it ended.

use crate::cache::pool::{Change, Ended};
use crate::host::body::{RequestBody, ResponseBody};
use crate::host::clock::Clock;
use crate::host::response::Response;
use crate::host::Action;
use crate::listener::cache::held::MAX_REQUEST;
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

/// A change that is under way.
#[derive(Debug)]
pub struct Changing {
    /// None: it is known how it ended.
    change: Option<Change>,
    head: Head,
}

/// A call that may change something. Its request is held until it is whole: a client that never ends it changes nothing, and
/// must not keep others from the cache.
#[derive(Debug)]
pub struct Announced {
    head: Head,
    arrived: u64,
}

impl Announced {
    /// A gRPC call whose answer has its status at `status`. None: it is not known to have one request and one answer, so
    /// it must not be held.
    pub fn grpc(status: MilvusStatusLocation) -> Option<Self> {
        let head = Head::Grpc(status, Vec::new());
        (status != MilvusStatusLocation::Nowhere).then_some(Self { head, arrived: 0 })
    }

    /// A REST request.
    pub fn rest() -> Self {
        Self { head: Head::Rest(Body::default()), arrived: 0 }
    }

    /// Whether the request goes on waiting for its end after what the running body hook received.
    pub fn waits(&mut self, stream: &impl RequestBody) -> bool {
        stream.read_request_body(|piece| self.arrived += piece.len() as u64);
        self.arrived <= MAX_REQUEST
    }

    pub fn begins(self, change: Change) -> Changing {
        Changing { change: Some(change), head: self.head }
    }
}

impl Changing {
    /// A call of which nothing is known.
    pub fn unknown(change: Change) -> Self {
        let head = Head::Grpc(MilvusStatusLocation::Nowhere, Vec::new());
        Self { change: Some(change), head }
    }

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
            if REFUSED.contains(&status) { Ended::Refused } else { Ended::Unanswered },
            stream,
        );
    }

    fn ends(&mut self, ended: Ended, stream: &impl Clock) {
        if let Some(change) = self.change.take() {
            change.ends(ended, stream.boot_time());
        }
    }
}
