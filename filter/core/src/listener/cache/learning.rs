//! What the cache must know of Milvus before it is asked about a read: the read that finds something missing asks Milvus.

use crate::cache::planted;
use crate::cache::pool::{LevelTicket, SampleTicket};
use crate::cache::question::learned::{allocated, described};
use crate::cache::question::message_of;
use crate::cache::read::{Level, Read};
use crate::host::clock::Clock;
use crate::host::own_call::{Caller, OwnCall, OwnCallId};
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
    /// Begins the calls that are due: for a timestamp, and for what is not known of the collection. None: nothing is due.
    pub fn begin(
        read: &Read,
        stream: &mut (impl Routed<RouteConfig> + Request + Clock + Caller),
    ) -> Option<Self> {
        let due = due(read, stream);
        let mut calls = Vec::new();
        for (ticket, call) in due.into_iter().flatten() {
            calls.extend(stream.start_call(&call).map(|id| (id, ticket)));
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
        if let Some(message) = answer.and_then(|body| message_of(body).ok()) {
            ticket.answered(message, stream);
        }
        self.calls.is_empty()
    }
}

/// The calls that are due.
fn due(
    read: &Read,
    stream: &(impl Routed<RouteConfig> + Request + Clock),
) -> [Option<(Ticket, OwnCall)>; 2] {
    let Some(cache) = cache_of(stream) else { return [None, None] };
    let terms = cache.terms(&read.database, &read.collection);
    let (Some(cluster), Some(terms)) = (&cache.config.cluster, terms) else { return [None, None] };
    if read.level == Some(Level::Strong) && !planted::strong_stored() {
        return [None, None];
    }
    let now = stream.boot_time();
    let sample = cache.pool.sample_due(now).map(Ticket::Sample);
    let level = cache.pool.level_wanted(read, terms, now).map(Ticket::Level);
    [
        sample.map(|ticket| (ticket, alloc_timestamp(cluster, stream))),
        level.map(|ticket| (ticket, describe_collection(cluster, read, stream))),
    ]
}

impl Ticket {
    /// Takes what the message of an answer says, if it says success.
    fn answered(self, message: &[u8], stream: &impl Clock) {
        match self {
            Self::Sample(ticket) => {
                if let Ok(timestamp) = allocated(message) {
                    ticket.answered(timestamp, stream.boot_time());
                }
            }
            Self::Level(ticket) => {
                if let Ok(facts) = described(message) {
                    ticket.learned(facts);
                }
            }
        }
    }
}
