//! Who makes a call and what it asks for, read while its request arrives.

use crate::admission::key::Key;
use crate::admission::Class;
use crate::host::body::RequestBody;
use crate::host::request::{AccessLog, Request};
use crate::milvus::call::Call;
use crate::milvus::caller::{HashKey, Naming, User, Users};
use crate::milvus::question::{Level, Question, QuestionKey};
use crate::milvus::rest::Body;
use crate::milvus::rest_path::{database_header, rpc_of};
use crate::milvus::rpc::Rpc;
use crate::reading::note_question;
use crate::wire::base64;
use crate::wire::stream::{Progress, Reader};

/// The most bytes of a request that are read before it is decided about. It must be less than the buffer of a connection
/// (1 MiB), past which Envoy stops reading.
const READ_AHEAD: u64 = 512 << 10;
const DEFAULT_DATABASE: &[u8] = b"default";

/// Which of Milvus's two APIs a call uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Grpc,
    Rest,
}

/// What is known of a call.
#[derive(Debug)]
pub struct Asked {
    pub api: Api,
    /// The rpc, or the one that the path of a REST request stands for.
    pub call: Call,
    /// The credentials; None: the client sends none. The password is part of them, so a client with another
    /// password is another user, and uses up nothing of this user's limit.
    pub user: Option<Key>,
    /// The user as logs show it, with an empty name where the call has none.
    pub user_name: User,
    /// Bytes of the request that have arrived.
    pub arrived: u64,
    message: Message,
    /// Of the header.
    database: Vec<u8>,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most calls are gRPC, and `Asked` is in a box")]
enum Message {
    Grpc(Reader<QuestionKey>, Question),
    Rest(Body),
}

impl Asked {
    /// Begins with the headers of a request.
    pub fn new(request: &impl Request) -> Self {
        let path = request.request_header(":path").unwrap_or_default();
        let api = api_of(request);
        let (call, message) = match api {
            Api::Grpc => {
                let call = Call::of_grpc(Some(path));
                let schema = if let Call::Milvus(rpc) = call { rpc.question } else { &[] };
                (call, Message::Grpc(Reader::new(schema), Question::default()))
            }
            Api::Rest => {
                let mut body = Body::default();
                body.read_query(path);
                (Call::of_rest(rpc_of(path)), Message::Rest(body))
            }
        };
        // Both at once: Envoy does not know `dbname` and would build an index of all headers to find it.
        let [credentials, database] = match (api, database_header(path)) {
            (Api::Grpc, _) => request.request_headers(["authorization", "dbname"]),
            (Api::Rest, Some(name)) => request.request_headers(["authorization", name]),
            (Api::Rest, None) => [request.request_header("authorization"), None],
        };
        let credentials = credentials.filter(|value| !value.is_empty());
        let database = database.filter(|name| !name.is_empty());
        // The hash that stands for an API key is compared with configured names and never shown.
        let users = Users { naming: Naming::Names, key: HashKey::new([0; HashKey::LENGTH]) };
        Self {
            api,
            call,
            user: credentials.map(|value| user(api, value)),
            user_name: match api {
                Api::Grpc => users.of_grpc(credentials),
                Api::Rest => users.of_rest(credentials),
            },
            arrived: 0,
            message,
            database: database.unwrap_or(DEFAULT_DATABASE).to_vec(),
        }
    }

    /// Reads what has arrived of the request, and says whether enough is known. `end` says that no more comes.
    pub fn read(&mut self, stream: &impl RequestBody, end: bool) -> bool {
        let mut received = 0;
        stream.read_request_body(|piece| {
            received += piece.len() as u64;
            self.message.push(piece);
        });
        if end && received == 0 {
            let mut known = self.arrived;
            stream.read_held_request_body(|piece| {
                let skipped = known.min(piece.len() as u64);
                known -= skipped;
                let new = &piece[skipped as usize..];
                received += new.len() as u64;
                self.message.push(new);
            });
        }
        self.arrived += received;
        let is_read = match &self.message {
            Message::Grpc(reader, _) => reader.progress() != Progress::Reading,
            Message::Rest(body) => body.is_read(),
        };
        end || is_read || self.arrived >= READ_AHEAD
    }

    /// Reads what was held of the request before anything was read of it.
    pub fn read_held(&mut self, stream: &impl RequestBody) {
        stream.read_held_request_body(|piece| {
            self.arrived += piece.len() as u64;
            self.message.push(piece);
        });
    }

    /// Whether nothing is known of what a message asks for: it is compressed, or it is not protobuf.
    pub fn is_unreadable(&self) -> bool {
        let Message::Grpc(reader, _) = &self.message else { return false };
        matches!(reader.progress(), Progress::Compressed | Progress::Malformed)
    }

    /// The rpc, if it is one of the catalogue.
    pub fn rpc(&self) -> Option<&'static Rpc> {
        match self.call {
            Call::Milvus(rpc) => Some(rpc),
            Call::OtherGrpc | Call::Rest => None,
        }
    }

    /// The database is the one of the message, else of the header, else the default one, as Milvus's proxy finds it.
    pub fn database(&self) -> &[u8] {
        let named = match &self.message {
            Message::Grpc(_, question) => question.database.bytes(),
            Message::Rest(body) => body.database.bytes(),
        };
        if named.is_empty() {
            &self.database
        } else {
            named
        }
    }

    /// Empty: none is named, or it could not be read.
    pub fn collection(&self) -> &[u8] {
        match &self.message {
            Message::Grpc(_, question) => question.collection.bytes(),
            Message::Rest(body) => body.collection.bytes(),
        }
    }

    /// The database and the collection, empty for a request without names.
    pub fn names(&self) -> (&[u8], &[u8]) {
        let has_names = match &self.message {
            Message::Grpc(..) => self.rpc().is_some_and(|rpc| !rpc.question.is_empty()),
            Message::Rest(body) => {
                !(body.collection.bytes().is_empty() && body.database.bytes().is_empty())
            }
        };
        if has_names {
            (self.database(), self.collection())
        } else {
            (b"", b"")
        }
    }

    /// Notes what a gRPC call asks for.
    pub fn note(&self, log: &mut impl AccessLog) {
        let (Message::Grpc(_, question), Some(rpc)) = (&self.message, self.rpc()) else { return };
        let (database, _) = self.names();
        if !database.is_empty() {
            log.note_text("database", &String::from_utf8_lossy(database));
        }
        note_question(rpc, question, log);
    }

    /// The rows that are written, as far as they are known.
    pub fn rows(&self) -> u64 {
        match &self.message {
            Message::Grpc(_, question) => question.rows,
            Message::Rest(_) => 0,
        }
    }

    /// Which calls cost about the same. Of REST only the size is known.
    pub fn class(&self) -> Class {
        let size = self.arrived / 1024;
        let Message::Grpc(_, question) = &self.message else {
            return Class::new(3, size, false, false);
        };
        let limit = question.limit.max(question.sub_limit).max(1);
        let (kind, results) = match self.rpc().map_or("", |rpc| rpc.name) {
            "Search" => (0, question.queries.max(1).saturating_mul(limit)),
            "HybridSearch" => (1, question.queries.max(1).saturating_mul(limit)),
            "Query" => (2, limit),
            _ => (3, question.rows.max(size)),
        };
        Class::new(kind, results, question.level() == Level::Strong, question.output_fields > 0)
    }
}

impl Message {
    fn push(&mut self, piece: &[u8]) {
        match self {
            Self::Grpc(reader, question) => reader.push(piece, question),
            Self::Rest(body) => body.push(piece),
        }
    }
}

/// The API of a request.
pub fn api_of(request: &impl Request) -> Api {
    let content_type = request.request_header("content-type").unwrap_or_default();
    if is_grpc(content_type) {
        Api::Grpc
    } else {
        Api::Rest
    }
}

/// Whether Envoy's routes for gRPC take a request with this `content-type` (`Grpc::Common::hasGrpcContentType`). The filter
/// must decide as they do: otherwise it would read a request that another route takes.
fn is_grpc(content_type: &[u8]) -> bool {
    let rest = content_type.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+"))
}

/// The credentials `value`, the same in both APIs: in gRPC they are in base64, in REST behind `Bearer`, or behind `Basic`
/// in base64.
fn user(api: Api, value: &[u8]) -> Key {
    let without = |scheme: &[u8]| {
        let (start, rest) = value.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    let plain = |value: &[u8]| Key::of_bytes(|each| value.iter().copied().for_each(each));
    let encoded = match api {
        Api::Grpc => Some(value),
        Api::Rest => without(b"basic "),
    };
    let Some(encoded) = encoded else { return plain(without(b"bearer ").unwrap_or(value)) };
    let mut is_base64 = true;
    let decoded = Key::of_bytes(|each| {
        let all = base64::decode(encoded, |byte| {
            each(byte);
            true
        });
        is_base64 = all.is_ok();
    });
    if is_base64 {
        decoded
    } else {
        plain(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_credentials_are_the_same_user_in_both_apis() {
        let grpc = user(Api::Grpc, b"cm9vdDpNaWx2dXM="); // root:Milvus

        for value in ["Bearer root:Milvus", "bearer root:Milvus", "Basic cm9vdDpNaWx2dXM="] {
            assert_eq!(grpc, user(Api::Rest, value.as_bytes()), "{value}");
        }
        for (api, value) in [
            (Api::Grpc, "cm9vdDpvdGhlcg=="), // root:other
            (Api::Rest, "Bearer root:other"),
            (Api::Rest, "Basic root:Milvus"),
            (Api::Rest, "cm9vdDpNaWx2dXM="),
        ] {
            assert_ne!(grpc, user(api, value.as_bytes()), "{value}");
        }
    }
}
