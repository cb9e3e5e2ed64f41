//! A stream without Envoy, for the tests.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::host::body::{RequestBody, ResponseBody};
use crate::host::clock::{BootTime, Clock};
use crate::host::counters::{CounterId, Counters, GaugeId, HistogramId, Registry};
use crate::host::own_call::{Caller, OwnCall, OwnCallId};
use crate::host::request::{
    AccessLog, Connected, Destination, Request, Routed, StreamNote, Upstream,
};
use crate::host::response::Response;
use crate::host::wake::{Wake, Wakeable};

type Headers = Vec<(String, String)>;

#[derive(Debug, Default)]
pub struct FakeStream {
    pub request: Headers,
    pub response: Headers,
    /// What the running body hook received.
    pub received: Vec<u8>,
    /// The size of its first piece, in bytes; None: all of it is one piece.
    pub piece: Option<usize>,
    pub counted: Vec<(CounterId, String)>,
    pub recorded: Vec<(HistogramId, u64)>,
    /// The configuration of the request's route, of whatever type.
    pub route: Option<Box<dyn Any>>,
    /// The configuration of the route that is chosen next.
    pub next_route: Option<Box<dyn Any>>,
    /// How often the route was chosen again.
    pub rerouted: usize,
    /// Whether no endpoint of the route is healthy.
    pub without_endpoint: bool,
    /// The server name of the client's connection.
    pub server_name: Option<String>,
    /// What is held of the request's body.
    pub held: Vec<u8>,
    /// The endpoint's address.
    pub endpoint: Option<String>,
    /// Whether the access log leaves the request out.
    pub unlogged: bool,
    /// What the access log says of the call.
    pub notes: Vec<(String, String)>,
    pub trailers: Headers,
    /// How often the response's body was dropped.
    pub dropped: usize,
    /// The time since the tests began.
    pub time: Duration,
    /// How often each gauge was raised, less how often it was lowered.
    pub gauges: HashMap<(usize, String), i64>,
    /// Why the filter refused the request.
    pub refusal: Option<&'static str>,
    /// The paths of the filter's own calls, of which each has its place as its id.
    pub own_calls: Vec<String>,
    /// What the filters of the stream share.
    pub note: Option<String>,
    /// How often the stream was woken.
    pub woken: Arc<AtomicUsize>,
}

impl FakeStream {
    /// The response trailer at `place`.
    pub fn trailer(&self, place: usize) -> Option<(&str, &str)> {
        self.trailers.get(place).map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A registry whose ids are places in this list of names; a label stands in brackets.
#[derive(Default)]
pub struct Names(pub Vec<String>);

impl Registry for Names {
    fn define_counter(&mut self, name: &str) -> Result<CounterId, String> {
        self.0.push(name.to_owned());
        Ok(CounterId(self.0.len() - 1))
    }

    fn define_labelled_counter(&mut self, name: &str, label: &str) -> Result<CounterId, String> {
        self.define_counter(&format!("{name}[{label}]"))
    }

    fn define_histogram(&mut self, name: &str) -> Result<HistogramId, String> {
        Ok(HistogramId(self.define_counter(name)?.0))
    }

    fn define_labelled_histogram(
        &mut self,
        name: &str,
        label: &str,
    ) -> Result<HistogramId, String> {
        Ok(HistogramId(self.define_labelled_counter(name, label)?.0))
    }

    fn define_labelled_gauge(&mut self, name: &str, label: &str) -> Result<GaugeId, String> {
        Ok(GaugeId(self.define_labelled_counter(name, label)?.0))
    }
}

pub fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A gRPC request for a call of Milvus.
pub fn grpc_request(method: &str) -> FakeStream {
    let path = format!("/milvus.proto.milvus.MilvusService/{method}");
    let request = headers(&[(":path", &path), ("content-type", "application/grpc")]);
    FakeStream { request, ..FakeStream::default() }
}

fn find<'a>(headers: &'a Headers, name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_bytes())
}

impl Request for FakeStream {
    fn request_header(&self, name: &str) -> Option<&[u8]> {
        find(&self.request, name)
    }

    fn each_request_header<'a>(&'a self, mut each: impl FnMut(&'a [u8], &'a [u8])) {
        for (name, value) in &self.request {
            each(name.as_bytes(), value.as_bytes());
        }
    }

    fn set_request_header(&mut self, name: &str, value: &str) {
        self.request.retain(|(key, _)| key != name);
        self.request.push((name.to_owned(), value.to_owned()));
    }
}

impl<Config: 'static> Routed<Config> for FakeStream {
    fn route_config(&self) -> Option<&Config> {
        self.route.as_ref().map(|config| config.downcast_ref().unwrap())
    }

    fn choose_route_again(&mut self) {
        self.route = self.next_route.take();
        self.rerouted += 1;
    }
}

impl Destination for FakeStream {
    fn has_no_healthy_endpoint(&self) -> bool {
        self.without_endpoint
    }
}

impl Connected for FakeStream {
    fn server_name(&self) -> Option<&[u8]> {
        self.server_name.as_deref().map(str::as_bytes)
    }
}

impl Upstream for FakeStream {
    fn endpoint(&self) -> Option<&[u8]> {
        self.endpoint.as_deref().map(str::as_bytes)
    }
}

impl AccessLog for FakeStream {
    fn leave_out_of_log(&mut self) {
        self.unlogged = true;
    }

    fn note_refusal(&mut self, reason: &'static str) {
        self.refusal = Some(reason);
    }

    fn note_cache(&mut self, outcome: &'static str) {
        self.note_text("cache", outcome);
    }

    fn note_text(&mut self, key: &str, value: &str) {
        self.notes.retain(|(name, _)| name != key);
        self.notes.push((key.to_owned(), value.to_owned()));
    }

    fn note_number(&mut self, key: &str, value: u64) {
        self.note_text(key, &value.to_string());
    }
}

impl StreamNote for FakeStream {
    fn stream_note(&self) -> Option<&[u8]> {
        self.note.as_deref().map(str::as_bytes)
    }

    fn set_stream_note(&mut self, text: &str) {
        self.note = Some(text.to_owned());
    }
}

impl Caller for FakeStream {
    fn start_call(&mut self, call: &OwnCall) -> Option<OwnCallId> {
        let path = call.headers.iter().find(|(name, _)| name == b":path").unwrap();
        self.own_calls.push(String::from_utf8(path.1.clone()).unwrap());
        Some(OwnCallId(self.own_calls.len() as u64 - 1))
    }
}

struct Bell(Arc<AtomicUsize>);

impl Wake for Bell {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wakeable for FakeStream {
    fn waker(&self) -> Box<dyn Wake> {
        Box::new(Bell(Arc::clone(&self.woken)))
    }
}

impl Response for FakeStream {
    fn response_header(&self, name: &str) -> Option<&[u8]> {
        find(&self.response, name)
    }

    fn set_response_header(&mut self, name: &str, value: &str) {
        self.remove_response_header(name);
        self.response.push((name.to_owned(), value.to_owned()));
    }

    fn remove_response_header(&mut self, name: &str) {
        self.response.retain(|(key, _)| key != name);
    }

    fn response_trailer(&self, name: &str) -> Option<&[u8]> {
        find(&self.trailers, name)
    }

    fn set_response_trailer(&mut self, name: &str, value: &str) {
        self.trailers.push((name.to_owned(), value.to_owned()));
    }
}

impl RequestBody for FakeStream {
    fn read_request_body(&self, read: impl FnMut(&[u8])) {
        self.received.chunks(self.piece.unwrap_or(usize::MAX)).for_each(read);
    }

    fn read_held_request_body(&self, read: impl FnMut(&[u8])) {
        self.held.chunks(self.piece.unwrap_or(usize::MAX)).for_each(read);
    }

    fn replace_request_body(&mut self, body: &[u8]) {
        self.held.clear();
        self.received = body.to_vec();
    }
}

impl ResponseBody for FakeStream {
    fn read_response_body(&self, read: impl FnMut(&[u8])) {
        self.received.chunks(self.piece.unwrap_or(usize::MAX)).for_each(read);
    }

    fn response_body_start(&self) -> &[u8] {
        &self.received[..self.received.len().min(self.piece.unwrap_or(usize::MAX))]
    }

    fn copy_response_body(&self, head: &mut Vec<u8>, limit: usize) {
        let room = limit.saturating_sub(head.len());
        head.extend(self.received.iter().take(room));
    }

    fn drop_response_body(&mut self) {
        self.dropped += 1;
    }
}

impl Counters for FakeStream {
    fn count(&mut self, counter: CounterId) {
        self.counted.push((counter, String::new()));
    }

    fn count_label(&mut self, counter: CounterId, label: &str) {
        self.counted.push((counter, label.to_owned()));
    }

    fn record(&mut self, histogram: HistogramId, value: u64) {
        self.recorded.push((histogram, value));
    }

    fn record_label(&mut self, histogram: HistogramId, _: &str, value: u64) {
        self.record(histogram, value);
    }

    fn raise(&mut self, gauge: GaugeId, label: &str) {
        *self.gauges.entry((gauge.0, label.to_owned())).or_default() += 1;
    }

    fn lower(&mut self, gauge: GaugeId, label: &str) {
        *self.gauges.entry((gauge.0, label.to_owned())).or_default() -= 1;
    }
}

impl Clock for FakeStream {
    fn now(&self) -> Instant {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        *BEGAN + self.time
    }

    fn boot_time(&self) -> BootTime {
        BootTime::from_nanos(0) + self.time
    }
}
