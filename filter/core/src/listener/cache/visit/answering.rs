//! What the cache does with the answer to a call that Milvus has got.

use crate::cache::reason::Reason;
use crate::calls::Cached;
use crate::hedge;
use crate::host::body::ResponseBody;
use crate::host::clock::Clock;
use crate::host::request::{AccessLog, Routed};
use crate::host::response::Response;
use crate::host::Action;
use crate::listener::cache::answer::begins_well;
use crate::listener::cache::visit::{Filling, Stage, Visit, HEADER};
use crate::listener::route::RouteConfig;

/// The outcome of a read whose fill was late: it got the answer to its own question, which is not stored.
const LATE: &str = "miss; late";

impl Visit<'_> {
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
            | Stage::Glancing(..)
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
                if hedge::take_mark(stream) {
                    stream.set_response_header(HEADER, LATE);
                    filling.fill.overtaken(stream.boot_time());
                    return Action::Continue;
                }
                stream.set_response_header(HEADER, Cached::Miss.label());
                filling.fill.answering(stream.boot_time());
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
    pub(super) fn abandon(&mut self, stream: &impl Clock) {
        match std::mem::take(&mut self.stage) {
            Stage::Filling(filling) => filling.fill.lost(stream.boot_time()),
            Stage::Changing(changing) => changing.on_stream_complete(stream),
            _ => {}
        }
    }

    /// The answer to a fill cannot be kept; `reason` says why no other one can, if it is known.
    pub(super) fn give_up(&mut self, reason: Option<Reason>, stream: &impl Clock) {
        if let Stage::Filling(filling) = std::mem::take(&mut self.stage) {
            match reason {
                Some(reason) => filling.fill.cannot_be_kept(reason, stream.boot_time()),
                None => filling.fill.lost(stream.boot_time()),
            }
        }
    }
}
