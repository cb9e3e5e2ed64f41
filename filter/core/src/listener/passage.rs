//! One call on its way through the listener: what it asks for, what it is counted by, and where it is.

use std::time::{Duration, Instant};

use crate::admission::key::Key;
use crate::admission::known::Known;
use crate::admission::limits::{Resource, Ticket};
use crate::admission::pool::{Ask, Direction, Place, Seat};
use crate::host::request::Request;
use crate::host::response::LocalReply;
use crate::listener::asked::{Api, Asked};
use crate::listener::policy::By;
use crate::listener::refusal::Reason;
use crate::listener::rules::Rules;
use crate::milvus::call::Call;
use crate::milvus::milvus_status;
use crate::milvus::rest::{Body, SUCCESS};
use crate::milvus::rpc::{self, MilvusStatusLocation, Rpc};

/// The bytes of a held request up to which Envoy reads on: the buffer of a connection.
const BUFFER: u64 = 1 << 20;

/// The stage of a call.
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
    pub asked: Asked,
    pub stage: Stage,
    pub tickets: Vec<Ticket>,
    /// Whether the whole request has arrived.
    pub has_ended: bool,
    /// The bytes and rows that the tickets are charged for.
    charged: (u64, u64),
    deadline: Option<Instant>,
}

impl Passage {
    /// A call that a policy may hold up: gRPC calls of the catalogue but those of connections and of health, and REST.
    pub fn new(request: &impl Request, now: Instant) -> Option<Self> {
        let asked = Asked::new(request);
        match asked.call {
            Call::Milvus(rpc) if !is_limited(rpc) => return None,
            Call::OtherGrpc => return None,
            Call::Milvus(_) | Call::Rest => {}
        }
        let timeout = request.request_header("grpc-timeout").and_then(timeout);
        let deadline = timeout.and_then(|timeout| now.checked_add(timeout));
        let (stage, tickets) = (Stage::Reading, Vec::new());
        Some(Self { asked, stage, tickets, has_ended: false, charged: (0, 0), deadline })
    }

    /// Counts the call by all limits, or says which one it is over.
    pub fn count(&mut self, rules: &Rules, now: Instant) -> Result<(), Reason> {
        let asked = &self.asked;
        let user = self.user();
        let user_known = rules.known.contains(user, now);
        for rule in &rules.limits {
            let (database, collection) = (asked.database(), asked.collection());
            let one = match rule.by {
                By { collection: true, .. } => collection,
                By { database: true, .. } => database,
                By { .. } => asked.user_name.as_bytes(),
            };
            if !rule.applies(one) {
                continue;
            }
            let named = |by: bool, name: Key| !by || rules.known.contains(name, now);
            let known = (!rule.by.user || user_known)
                && named(rule.by.database, database_key(database))
                && named(rule.by.collection, collection_key(database, collection));
            let name = rule.key(user, user_known, database, collection);
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

    /// Charges the tickets for what has been read since. The number of rows is what the client claims: each takes at
    /// least a byte, and a later claim may be lower.
    pub fn charge(&mut self) {
        let bytes = self.asked.arrived;
        let rows = self.asked.rows().min(bytes).max(self.charged.1);
        for ticket in &mut self.tickets {
            ticket.charge(Resource::Bytes, bytes.saturating_sub(self.charged.0) as f64);
            ticket.charge(Resource::Rows, (rows - self.charged.1) as f64);
        }
        self.charged = (bytes, rows);
    }

    /// Milvus has written nothing: the rows count as never sent.
    pub fn give_back_rows(&mut self) {
        for ticket in &mut self.tickets {
            ticket.charge(Resource::Rows, -(self.charged.1 as f64));
        }
        self.charged.1 = 0;
    }

    /// Counts the call as never made.
    pub fn give_back(&mut self) {
        self.tickets.iter_mut().for_each(Ticket::give_back);
    }

    /// Who calls; all calls without credentials are of one user.
    fn user(&self) -> Key {
        self.asked.user.unwrap_or_else(|| Key::of("anonymous"))
    }

    /// The limit of a pool that the call falls under.
    pub fn direction(&self) -> Option<Direction> {
        match self.asked.rpc()?.class {
            rpc::Class::Read | rpc::Class::ReadCpu => Some(Direction::Reads),
            rpc::Class::Write | rpc::Class::WriteBulk => Some(Direction::Writes),
            _ => None,
        }
    }

    /// What the call asks of its pool. Users share with each other, and with each user its collections; names for which
    /// Milvus has never answered well share one place. A request that has not ended counts as all that Envoy may buffer.
    pub fn ask(&self, known: &Known, now: Instant) -> Ask {
        let asked = &self.asked;
        let collection = collection_key(asked.database(), asked.collection());
        let collection = known.contains(collection, now).then_some(collection);
        let stranger = Key::of("stranger");
        let tenant = match asked.user {
            _ if !known.contains(self.user(), now) => stranger,
            Some(user) => user,
            None => collection.unwrap_or(stranger),
        };
        Ask {
            tenant,
            flow: Key::of((tenant, collection)),
            collection,
            class: asked.class(),
            bytes: if self.has_ended { asked.arrived } else { asked.arrived.max(BUFFER) },
            deadline: self.deadline,
        }
    }

    /// Milvus has answered well: the user is known from now on, and so is what the call shows to exist.
    pub fn has_succeeded(&self, known: &Known, now: Instant) {
        known.insert(self.user(), now);
        let (database, collection) = (self.asked.database(), self.asked.collection());
        if !self.asked.rpc().is_some_and(|rpc| rpc::proves_existence(rpc.name, collection)) {
            return;
        }
        known.insert(database_key(database), now);
        if !collection.is_empty() {
            known.insert(collection_key(database, collection), now);
        }
    }

    /// Milvus's code in the beginning of the answer, gRPC or REST, 0 for success; None if it does not tell.
    pub fn code(&self, start: &[u8]) -> Option<u64> {
        match self.asked.api {
            Api::Grpc => {
                let at =
                    self.asked.rpc().map_or(MilvusStatusLocation::Nowhere, |rpc| rpc.milvus_status);
                milvus_status::code(start, at)
            }
            Api::Rest => {
                let mut body = Body::default();
                body.push(start);
                body.code.map(|code| if SUCCESS.contains(&code) { 0 } else { code })
            }
        }
    }

    /// The answer to a call that is refused.
    pub fn refusal(&self, reason: Reason) -> LocalReply {
        match (self.asked.api, self.asked.rpc()) {
            (Api::Grpc, Some(rpc)) => reason.message(rpc),
            _ => reason.rest(),
        }
    }
}

/// Calls of connections, of health and of telemetry pass always: they cost nothing, and a client whose connection is
/// refused says something misleading. Streams have no place for a status.
fn is_limited(rpc: &Rpc) -> bool {
    use rpc::Class;
    let exempt = [Class::Health, Class::Session, Class::Telemetry, Class::Replication];
    !exempt.contains(&rpc.class) && rpc.milvus_status != MilvusStatusLocation::Nowhere
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
