//! One call on its way through the listener: what it asks for, what it is counted by, and where it is.

use std::time::{Duration, Instant};

use crate::admission::key::Key;
use crate::admission::known::Known;
use crate::admission::limits::{Resource, Ticket};
use crate::admission::pool::{Ask, Direction, Place, Seat};
use crate::admission::Class;
use crate::host::body::RequestBody;
use crate::host::request::Request;
use crate::listener::refusal::Reason;
use crate::listener::rules::Rules;
use crate::milvus::call::Call;
use crate::milvus::question::{Level, Question, QuestionKey};
use crate::milvus::rpc::{self, Rpc, StatusAt};
use crate::wire::stream::{Progress, Reader};

/// The most bytes of a request that are read before it is decided about. It must be less than the buffer of a connection
/// (1 MiB), past which Envoy stops reading.
const READ_AHEAD: u64 = 512 << 10;
const DEFAULT_DATABASE: &[u8] = b"default";

/// Where a call is.
#[derive(Debug)]
pub enum Stage {
    /// Its headers are held until it is known what it asks for.
    Reading,
    /// It waits for its turn in the queue of the pool with this name.
    Waiting(Place, String),
    /// It is on its way; None without admission, or once Milvus has begun to answer.
    Inside(Option<Seat>),
}

/// One call.
#[derive(Debug)]
pub struct Passage {
    /// None: REST.
    pub rpc: Option<&'static Rpc>,
    pub stage: Stage,
    pub tickets: Vec<Ticket>,
    reader: Reader<QuestionKey>,
    question: Question,
    /// Bytes of the request that have arrived.
    arrived: u64,
    /// Those and the rows that the tickets are charged for.
    charged: (u64, u64),
    /// None: the client sends no credentials.
    user: Option<Key>,
    database: Vec<u8>,
    deadline: Option<Instant>,
}

impl Passage {
    /// A call that a policy may hold up: gRPC calls of the catalogue but those of connections and of health, and REST.
    pub fn new(request: &impl Request, now: Instant) -> Option<Self> {
        let content_type = request.request_header("content-type").unwrap_or_default();
        let is_grpc = content_type.starts_with(b"application/grpc");
        let rpc = match is_grpc.then(|| Call::of_grpc(request.request_header(":path"))) {
            Some(Call::Milvus(rpc)) if is_limited(rpc) => Some(rpc),
            Some(_) => return None,
            None => None,
        };
        let timeout = request.request_header("grpc-timeout").and_then(timeout);
        let database = request.request_header("dbname").filter(|name| !name.is_empty());
        Some(Self {
            rpc,
            stage: Stage::Reading,
            tickets: Vec::new(),
            reader: Reader::new(rpc.map_or(&[], |rpc| rpc.question)),
            question: Question::default(),
            arrived: 0,
            charged: (0, 0),
            // The password is part of it: who has another one is not the user, and uses up nothing of the user's.
            user: request.request_header("authorization").map(Key::of),
            database: database.unwrap_or(DEFAULT_DATABASE).to_vec(),
            deadline: timeout.and_then(|timeout| now.checked_add(timeout)),
        })
    }

    /// Reads what has arrived of the request, and says whether enough is known. `end` says that no more comes.
    pub fn read(&mut self, stream: &impl RequestBody, end: bool) -> bool {
        let (reader, question) = (&mut self.reader, &mut self.question);
        let mut received = 0;
        stream.read_request_body(|piece| {
            received += piece.len() as u64;
            reader.push(piece, question);
        });
        if end && received == 0 {
            let mut known = self.arrived;
            stream.read_held_request_body(|piece| {
                let skipped = known.min(piece.len() as u64);
                known -= skipped;
                let new = &piece[skipped as usize..];
                received += new.len() as u64;
                reader.push(new, question);
            });
        }
        self.arrived += received;
        let whole = self.rpc.is_some() && self.reader.progress() != Progress::Reading;
        end || whole || self.arrived >= READ_AHEAD
    }

    /// Counts the call by all limits, or says which one it is over.
    pub fn count(&mut self, rules: &Rules, now: Instant) -> Result<(), Reason> {
        let user = self.user.unwrap_or_else(|| Key::of("anonymous"));
        let user_known = self.user.is_none_or(|user| rules.known.contains(user, now));
        for rule in &rules.limits {
            let (database, collection) = (self.database(), self.question.collection.bytes());
            let one = if rule.by.collection { collection } else { database };
            if !rule.applies(one) {
                continue;
            }
            let named = |by: bool, name: Key| !by || rules.known.contains(name, now);
            let known = (!rule.by.user || user_known)
                && named(rule.by.database, database_key(database))
                && named(rule.by.collection, collection_key(database, collection));
            let name = rule.key(user, database, collection);
            match rule.counts.enter(name, known, rule.most, now) {
                Ok(ticket) => self.tickets.push(ticket),
                Err(excess) => {
                    self.give_back();
                    return Err(Reason::Limit(rule.by, excess));
                }
            }
        }
        self.charge();
        Ok(())
    }

    /// Charges the tickets for what has been read since.
    pub fn charge(&mut self) {
        let (bytes, rows) = (self.arrived, self.question.rows);
        for ticket in &mut self.tickets {
            ticket.charge(Resource::Bytes, bytes.saturating_sub(self.charged.0) as f64);
            ticket.charge(Resource::Rows, rows.saturating_sub(self.charged.1) as f64);
        }
        self.charged = (bytes, rows);
    }

    /// Counts the call as never made.
    pub fn give_back(&mut self) {
        self.tickets.iter_mut().for_each(Ticket::give_back);
    }

    /// The limit of a pool that the call falls under.
    pub fn direction(&self) -> Option<Direction> {
        match self.rpc?.class {
            rpc::Class::Read | rpc::Class::ReadCpu => Some(Direction::Reads),
            rpc::Class::Write | rpc::Class::WriteBulk => Some(Direction::Writes),
            _ => None,
        }
    }

    /// What the call asks of its pool. Users share with each other, and with each user its collections; names for which
    /// Milvus has never answered well share one place.
    pub fn ask(&self, known: &Known, now: Instant) -> Ask {
        let collection = collection_key(self.database(), self.question.collection.bytes());
        let collection = known.contains(collection, now).then_some(collection);
        let stranger = Key::of("stranger");
        let tenant = match self.user {
            Some(user) if known.contains(user, now) => user,
            Some(_) => stranger,
            None => collection.unwrap_or(stranger),
        };
        Ask {
            tenant,
            flow: Key::of((tenant, collection)),
            collection,
            class: self.class(),
            bytes: self.arrived,
            deadline: self.deadline,
        }
    }

    /// Milvus has answered well: the call's names are known from now on.
    pub fn has_succeeded(&self, known: &Known, now: Instant) {
        if let Some(user) = self.user {
            known.insert(user, now);
        }
        let (database, collection) = (self.database(), self.question.collection.bytes());
        known.insert(database_key(database), now);
        if !collection.is_empty() {
            known.insert(collection_key(database, collection), now);
        }
    }

    /// Where a gRPC answer has Milvus's status.
    pub fn status(&self) -> StatusAt {
        self.rpc.map_or(StatusAt::Nowhere, |rpc| rpc.status)
    }

    fn database(&self) -> &[u8] {
        let field = self.question.database.bytes();
        if field.is_empty() {
            &self.database
        } else {
            field
        }
    }

    fn class(&self) -> Class {
        let question = &self.question;
        let limit = question.limit.max(question.sub_limit).max(1);
        let (kind, results) = match self.rpc.map_or("", |rpc| rpc.name) {
            "Search" => (0, question.queries.max(1).saturating_mul(limit)),
            "HybridSearch" => (1, question.queries.max(1).saturating_mul(limit)),
            "Query" => (2, limit),
            _ => (3, question.rows.max(self.arrived / 1024)),
        };
        Class::new(kind, results, question.level() == Level::Strong, question.output_fields > 0)
    }
}

/// Calls of connections, of health and of telemetry pass always: they cost nothing, and a client whose connection is
/// refused says something misleading. Streams have no place for a status.
fn is_limited(rpc: &Rpc) -> bool {
    use rpc::Class;
    let exempt = [Class::Health, Class::Session, Class::Telemetry, Class::Replication];
    !exempt.contains(&rpc.class) && rpc.status != StatusAt::Nowhere
}

fn database_key(database: &[u8]) -> Key {
    Key::of(("database", database))
}

fn collection_key(database: &[u8], collection: &[u8]) -> Key {
    Key::of(("collection", database, collection))
}

/// The value of `grpc-timeout`: at most 8 digits and a unit.
fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let is_number = (1..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let number = is_number.then(|| std::str::from_utf8(digits).ok()?.parse::<u64>().ok())??;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        for (value, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("5S", Some(Duration::from_secs(5))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("7n", Some(Duration::from_nanos(7))),
            ("123456789m", None),
            ("m", None),
            ("", None),
            ("-1S", None),
            ("1 S", None),
            ("1s", None),
        ] {
            assert_eq!(expected, timeout(value.as_bytes()), "{value}");
        }
    }
}
