//! What the cache does with a read that has arrived.

use std::time::Duration;

use crate::cache::pool::{Decision, Fill, Hit, Look, Patience, Watch};
use crate::cache::question::headers::{unusual, Header};
use crate::cache::question::suffix::Suffix;
use crate::cache::question::{message_of, read};
use crate::cache::read::Read;
use crate::cache::reason::Reason;
use crate::calls::Cached;
use crate::hedge;
use crate::host::request::AccessLog;
use crate::host::response::LocalReply;
use crate::listener::cache::answer::Answer;
use crate::listener::cache::asking::{cache_of, headers_of, Asking};
use crate::listener::cache::client_call::ClientCall;
use crate::listener::cache::held::{self, Held};
use crate::listener::cache::learning::{due, Learning};
use crate::listener::cache::visit::looking::look;
use crate::listener::cache::visit::{Asked, Filling, Stage, Step, Visit, HEADER};

impl Visit<'_> {
    /// Decides about a read that has arrived.
    pub(super) fn decide(&mut self, asked: Asked, held: &Held, stream: &mut impl Asking) -> Step {
        let Some(cache) = cache_of(stream) else { return self.leave() };
        let look = look(asked.method, asked.credentials, held, cache, stream);
        let Look::Ask { is_repeated, passed } = look else {
            self.stage = Stage::Outside;
            return Step::Release;
        };
        let frame = held.all(stream);
        let headers = headers_of(stream);
        self.begin_call(asked, &headers, &frame);
        if let Some(call) = &mut self.call {
            call.passed = passed;
        }
        let read = message_of(&frame).and_then(|message| read(asked.method, &headers, message));
        let read = match read {
            Ok(read) => Read { is_repeated, ..read },
            Err(reason) => return self.bypass(reason, stream),
        };
        let due = due(&read, stream);
        // A stranger can invent any.
        if due.as_ref().is_some_and(|due| due.is_known) {
            for name in unusual(&headers) {
                cache.pool.keeps_apart(&String::from_utf8_lossy(name));
            }
        }
        let waits = due.as_ref().is_some_and(|due| due.waits);
        let cluster = cache.config.cluster.clone();
        let learning = due.zip(cluster);
        let learning =
            learning.and_then(|(due, cluster)| Learning::begin(due, &cluster, &read, stream));
        match learning {
            Some(learning) if waits => {
                self.stage = Stage::Learning(asked, Box::new((read, learning)));
                Step::Hold
            }
            learning => {
                self.learning = learning.map(Box::new);
                self.ask(asked, &read, Some(frame), stream)
            }
        }
    }

    /// Asks the pool what to do with a read. `frame` is its message, where it is at hand.
    pub(super) fn ask(
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
    /// The route has no cache any more.
    pub(super) fn leave(&mut self) -> Step {
        self.stage = Stage::Outside;
        Step::Release
    }

    /// Sends a read so that its answer may be kept.
    pub(super) fn fill(
        &mut self,
        asked: Asked,
        fill: Fill,
        mut frame: Vec<u8>,
        stream: &mut impl Asking,
    ) -> Step {
        if let Some(guarantee) = fill.ask_for() {
            let suffix = Suffix::asking_for(asked.method, guarantee);
            let route = cache_of(stream).and_then(|cache| cache.config.hedge_after);
            let after = route.map_or(fill.hedge_after(), |after| after.min(fill.hedge_after()));
            hedge::announce(suffix.bytes().len(), after, stream);
            held::append(&mut frame, suffix.bytes());
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
    pub(super) fn bypass(&mut self, reason: Reason, stream: &mut impl Asking) -> Step {
        if let Some(cache) = cache_of(stream) {
            cache.pool.bypassed(reason);
        }
        self.forward(reason, None, stream)
    }

    pub(super) fn forward(
        &mut self,
        reason: Reason,
        watch: Option<Watch>,
        stream: &mut impl Asking,
    ) -> Step {
        self.stage = Stage::Forwarded(reason, watch);
        self.is_sent(Cached::Bypass, stream);
        Step::Release
    }

    /// The read has arrived, or so much of it that the cache has nothing to do with it.
    pub(super) fn begin_call(&mut self, asked: Asked, headers: &[Header<'_>], request: &[u8]) {
        let Asked { rpc, began, .. } = asked;
        let call = ClientCall::new(rpc, began, headers, request, self.settings);
        self.call = Some(Box::new(call));
    }

    pub(super) fn is_sent(&mut self, cached: Cached, stream: &mut impl AccessLog) {
        if let Some(call) = &mut self.call {
            call.sent(cached, stream);
        }
    }

    /// Answers a call with a stored answer.
    pub(super) fn reply(&mut self, cached: Cached, hit: Hit, stream: &mut impl Asking) -> Step {
        if let Some(call) = self.call.take() {
            call.answered(cached, &hit.answer, stream);
        }
        let header = (HEADER, with_age(cached, hit.age));
        Step::Reply(LocalReply::Stored { header, body: hit.answer })
    }
}

/// The header's value: the age in seconds, with one digit after the point. Numbers with a point take five times as long to format.
fn with_age(cached: Cached, age: Duration) -> String {
    let tenths = (age.as_millis() as u64 + 49) / 100;
    format!("{}; age={}.{}", cached.label(), tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_rounded_to_tenths_of_a_second() {
        for (milliseconds, expected) in
            [(0, "0.0"), (50, "0.0"), (51, "0.1"), (950, "0.9"), (951, "1.0"), (12_345, "12.3")]
        {
            let age = Duration::from_millis(milliseconds);
            assert_eq!(format!("hit; age={expected}"), with_age(Cached::Hit, age));
        }
    }
}
