//! What the cache must know of Milvus before it is asked about a read: the read that finds something missing asks Milvus.

use crate::cache::planted;
use crate::cache::pool::{Due, LevelTicket, SampleTicket};
use crate::cache::question::learned::{allocated, described};
use crate::cache::question::message_of;
use crate::cache::read::{Level, Read};
use crate::host::clock::Clock;
use crate::host::own_call::{Caller, OwnCallId};
use crate::host::request::{Request, Routed};
use crate::listener::cache::asking::cache_of;
use crate::listener::cache::own_calls::{alloc_timestamp, describe_collection};
use crate::listener::route::RouteConfig;

/// The calls that are made on behalf of a read.
#[derive(Debug)]
pub struct Learning {
    calls: Vec<(OwnCallId, Ticket)>,
}

/// What a call is made for.
#[derive(Debug)]
enum Ticket {
    Sample(SampleTicket),
    Level(LevelTicket),
}

impl Learning {
    /// Begins the calls that are due, on a route with this cluster. None: nothing is due.
    pub fn begin(
        due: Due,
        cluster: &str,
        read: &Read,
        stream: &mut (impl Request + Caller),
    ) -> Option<Self> {
        let mut calls = Vec::new();
        if let Some(ticket) = due.sample {
            let id = stream.start_call(&alloc_timestamp(cluster, due.waits, stream));
            calls.extend(id.map(|id| (id, Ticket::Sample(ticket))));
        }
        if let Some(ticket) = due.level {
            let id = stream.start_call(&describe_collection(cluster, due.waits, read, stream));
            calls.extend(id.map(|id| (id, Ticket::Level(ticket))));
        }
        (!calls.is_empty()).then_some(Self { calls })
    }

    /// A call has ended, with this body of an answer, or with none. True: no other one is under way.
    pub fn on_own_call_done(
        &mut self,
        stream: &impl Clock,
        id: OwnCallId,
        answer: Option<&[u8]>,
    ) -> bool {
        let Some(place) = self.calls.iter().position(|(each, _)| *each == id) else { return false };
        let (_, ticket) = self.calls.swap_remove(place);
        ticket.answered(answer.and_then(|body| message_of(body).ok()), stream);
        self.calls.is_empty()
    }
}

/// What is due for a read.
pub fn due(read: &Read, stream: &(impl Routed<RouteConfig> + Clock)) -> Option<Due> {
    let cache = cache_of(stream)?;
    let terms = cache.terms(&read.database, &read.collection)?;
    if read.level == Some(Level::Strong) && !planted::strong_stored() {
        return None;
    }
    Some(cache.pool.due(read, terms, stream.boot_time()))
}

impl Ticket {
    /// Learns from the message of an answer, if there is one and its status is success.
    fn answered(self, message: Option<&[u8]>, stream: &impl Clock) {
        match self {
            Self::Sample(ticket) => match message.map(allocated) {
                Some(Ok(timestamp)) => ticket.answered(timestamp, stream.boot_time()),
                _ => ticket.failed(stream.boot_time()),
            },
            Self::Level(ticket) => match message.map(described) {
                Some(Ok(facts)) => ticket.learned(facts, stream.boot_time()),
                _ => ticket.failed(stream.boot_time()),
            },
        }
    }
}
