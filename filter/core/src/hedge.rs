//! How a fill that Milvus does not answer in time is sent again as its client sent it.
//!
//! The listener appends fields to the message of a fill, and asks Envoy's router to send a second attempt if the first one
//! has no answer after some time; the first answer counts (hedging). The filter on the way to the endpoint removes the fields
//! from the message of an attempt that begins after that time, and says so in a header of its answer. An earlier attempt is
//! made because an endpoint has failed, and is a fill like the first one.
//!
//! What the filters know of a fill is in the dynamic metadata of its stream, because Milvus would get a header.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::host::clock::{BootTime, Clock};
use crate::host::request::{Request, StreamNote};
use crate::host::response::Response;

/// Envoy's router removes these three.
const PER_TRY_TIMEOUT: &str = "x-envoy-upstream-rq-per-try-timeout-ms";
const HEDGES: &str = "x-envoy-hedge-on-per-try-timeout";
const RETRIES: &str = "x-envoy-max-retries";
/// A fill is sent four times at most, for whatever reason.
const MOST_RETRIES: &str = "3";
/// The header of an answer to the client's own question.
const UNCHANGED: &str = "kiteway-unchanged";

/// Whether this process has ever sent a fill: before, no stream has a note.
static ANY: AtomicBool = AtomicBool::new(false);

/// What an attempt asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// What its client sent, because nothing was changed.
    Unchanged,
    /// For what the listener has changed it to.
    Fill,
    /// What its client sent: so many bytes at the end of the message are to be removed.
    Client { appended: usize },
}

/// Says that a request is a fill with `appended` bytes, and that it is to be sent again after a time; only while its headers are
/// held.
pub fn announce(appended: usize, after: Duration, stream: &mut (impl Request + StreamNote)) {
    ANY.store(true, Ordering::Relaxed);
    let after = after.as_millis().max(1).to_string();
    stream.set_request_header(PER_TRY_TIMEOUT, &after);
    stream.set_request_header(HEDGES, "true");
    stream.set_request_header(RETRIES, MOST_RETRIES);
    stream.set_stream_note(&format!("{appended} {after}"));
}

/// What the attempt asks that begins now. The first one of a fill notes when it began.
pub fn begin(stream: &mut (impl StreamNote + Clock)) -> Asks {
    if !ANY.load(Ordering::Relaxed) {
        return Asks::Unchanged;
    }
    let Some(note) = stream.stream_note().and_then(Note::read) else { return Asks::Unchanged };
    let now = stream.boot_time();
    match note.began {
        None => {
            let began = now.since(BootTime::from_nanos(0)).as_nanos();
            stream.set_stream_note(&format!(
                "{} {} {began}",
                note.appended,
                note.after.as_millis()
            ));
            Asks::Fill
        }
        Some(began) if now.since(began) >= note.after => Asks::Client { appended: note.appended },
        Some(_) => Asks::Fill,
    }
}

/// Says that an answer is one to the client's own question.
pub fn mark(stream: &mut impl Response) {
    stream.set_response_header(UNCHANGED, "1");
}

/// Whether an answer is one to the client's own question. The mark is removed.
pub fn take_mark(stream: &mut impl Response) -> bool {
    let is_marked = stream.response_header(UNCHANGED).is_some();
    if is_marked {
        stream.remove_response_header(UNCHANGED);
    }
    is_marked
}

/// What is noted of a fill.
#[derive(Debug, PartialEq, Eq)]
struct Note {
    appended: usize,
    after: Duration,
    /// When its first attempt began; None: none has.
    began: Option<BootTime>,
}

impl Note {
    fn read(note: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(note).ok()?.split(' ');
        let appended = parts.next()?.parse().ok()?;
        let after = Duration::from_millis(parts.next()?.parse().ok()?);
        let began = match parts.next() {
            None => None,
            Some(began) => Some(BootTime::from_nanos(began.parse().ok()?)),
        };
        Some(Self { appended, after, began })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::{grpc_request, FakeStream};

    fn begin_at(stream: &mut FakeStream, milliseconds: u64) -> Asks {
        stream.time = Duration::from_millis(milliseconds);
        begin(stream)
    }

    #[test]
    fn an_attempt_after_the_time_asks_as_the_client_and_one_before_it_as_the_first() {
        let mut stream = grpc_request("Search");
        announce(17, Duration::from_millis(60), &mut stream);

        for (name, value) in [
            ("x-envoy-upstream-rq-per-try-timeout-ms", "60"),
            ("x-envoy-hedge-on-per-try-timeout", "true"),
            ("x-envoy-max-retries", "3"),
        ] {
            assert_eq!(Some(value.as_bytes()), stream.request_header(name));
        }
        for (at, expected) in [
            (1000, Asks::Fill),
            (1059, Asks::Fill),
            (1060, Asks::Client { appended: 17 }),
            (9000, Asks::Client { appended: 17 }),
        ] {
            assert_eq!(expected, begin_at(&mut stream, at), "{at}");
        }
    }

    #[test]
    fn what_is_no_fill_asks_as_it_was_sent() {
        let mut stream = grpc_request("Search");
        assert_eq!(Asks::Unchanged, begin(&mut stream));
        announce(1, Duration::ZERO, &mut grpc_request("Search"));
        assert_eq!(Asks::Unchanged, begin(&mut stream));
    }

    #[test]
    fn the_mark_of_an_answer_is_seen_once() {
        let mut stream = FakeStream::default();
        assert!(!take_mark(&mut stream));
        mark(&mut stream);
        assert!(take_mark(&mut stream));
        assert_eq!(FakeStream::default().response, stream.response);
    }
}
