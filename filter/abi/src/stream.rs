//! Envoy's side of a stream, as the ports of the filter.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::time::Instant;

use kiteway_filter_core::host::body::{RequestBody, ResponseBody};
use kiteway_filter_core::host::clock::{BootTime, Clock};
use kiteway_filter_core::host::counters::{CounterId, Counters, GaugeId, HistogramId};
use kiteway_filter_core::host::own_call::{Caller, OwnCall, OwnCallId};
use kiteway_filter_core::host::request::{
    AccessLog, Connected, Destination, Request, Routed, Upstream,
};
use kiteway_filter_core::host::response::{LocalReply, Response};
use kiteway_filter_core::host::wake::{Wake, Wakeable};
use kiteway_filter_core::RouteConfig;

use crate::buffers::{EnvoyBuffer, EnvoyHeader, ModuleBuffer, ModuleHeader};
use crate::callbacks::*;
use crate::clock::boot_time;

const HEADER_REQUEST: u32 = 0;
const HEADER_RESPONSE: u32 = 2;
const HEADER_RESPONSE_TRAILER: u32 = 3;
/// Kiteway's endpoints all have it.
const HIGHEST_PRIORITY: u32 = 0;
/// `connection.requested_server_name` in the enum of attributes. Envoy 1.40 is the first that gives it to an HTTP filter; older
/// versions answer that there is none.
const ATTRIBUTE_REQUESTED_SERVER_NAME: u32 = 30;
/// `upstream.address` in the enum of attributes.
const ATTRIBUTE_UPSTREAM_ADDRESS: u32 = 41;
const BODY_RECEIVED_REQUEST: u32 = 0;
const BODY_BUFFERED_REQUEST: u32 = 1;
const BODY_RECEIVED_RESPONSE: u32 = 2;
const BODY_BUFFERED_RESPONSE: u32 = 3;
/// `Success` of the results of the beginning of a callout.
const CALLOUT_STARTED: u32 = 0;
/// The metadata of the stream itself, in the enum of sources of metadata.
const METADATA_DYNAMIC: u32 = 0;
/// One read of a socket nearly always brings fewer pieces than this.
const FEW_CHUNKS: usize = 4;
/// Nearly every request has fewer headers than this.
const FEW_HEADERS: usize = 32;

/// The dynamic metadata that the access log's filter reads: 0 leaves a request out.
const LOG_NAMESPACE: &str = "kiteway";
const LOG_KEY: &str = "logged";
/// In the same namespace: why the filter refused the request.
const REFUSED_KEY: &str = "refused";
/// In the same namespace: what the cache did with the request.
const CACHE_KEY: &str = "cache";
/// The dynamic metadata that a line of the access log shows.
const CALL_NAMESPACE: &str = "kiteway.call";

thread_local! {
    /// Whether a call of the filter's own is being begun on this thread, by a hook that has borrowed the stream's filter.
    static STARTS_CALL: Cell<bool> = const { Cell::new(false) };
}

/// Whether a hook runs while another one begins a call. It must not touch the stream's filter.
pub fn starts_call() -> bool {
    STARTS_CALL.get()
}

/// Envoy's side of a stream, for the time of one hook.
///
/// Bytes that a method returns borrow the stream, and every method that could invalidate them takes it `&mut`.
pub struct EnvoyStream(pub *mut c_void);

impl EnvoyStream {
    fn header(&self, header_type: u32, name: &str) -> Option<&[u8]> {
        let mut value = EnvoyBuffer::EMPTY;
        // SAFETY: the pointer is that of the running hook; Envoy reads the name before it returns
        // and writes one buffer; the optional size may be null.
        let found = unsafe {
            envoy_dynamic_module_callback_http_get_header(
                self.0,
                header_type,
                name.into(),
                &mut value,
                0,
                ptr::null_mut(),
            )
        };
        // SAFETY: the bytes are valid until the hook returns or a setter is called, and `self`
        // lives no longer than the hook and is borrowed meanwhile.
        found.then(|| unsafe { value.as_slice() })
    }

    fn attribute(&self, attribute: u32) -> Option<&[u8]> {
        let mut value = EnvoyBuffer::EMPTY;
        // SAFETY: the pointer is that of the running hook; Envoy writes one buffer.
        let found = unsafe {
            envoy_dynamic_module_callback_http_filter_get_attribute_string(
                self.0, attribute, &mut value,
            )
        };
        // SAFETY: the text belongs to the connection or to the endpoint, which the stream holds for longer than the hook
        // runs.
        found.then(|| unsafe { value.as_slice() })
    }

    /// Hands `read` the pieces of what the running body hook received.
    fn with_body<T>(&self, body_type: u32, read: impl FnOnce(&[EnvoyBuffer]) -> T) -> T {
        // SAFETY: the pointer is that of the running hook.
        let count =
            unsafe { envoy_dynamic_module_callback_http_get_body_chunks_size(self.0, body_type) };
        let (mut few, mut many) = ([EnvoyBuffer::EMPTY; FEW_CHUNKS], Vec::new());
        let chunks = if count <= FEW_CHUNKS {
            &mut few[..count]
        } else {
            many.resize(count, EnvoyBuffer::EMPTY);
            &mut many[..]
        };
        // SAFETY: Envoy writes exactly as many buffers as it has just said, or none and says so.
        let present = unsafe {
            envoy_dynamic_module_callback_http_get_body_chunks(
                self.0,
                body_type,
                chunks.as_mut_ptr(),
            )
        };
        read(if present { chunks } else { &[] })
    }

    fn read_body(&self, body_type: u32, mut read: impl FnMut(&[u8])) {
        self.with_body(body_type, |chunks| {
            for chunk in chunks {
                read(self.lent(*chunk));
            }
        });
    }

    /// The bytes of a header, or of a piece of the body.
    fn lent(&self, bytes: EnvoyBuffer) -> &[u8] {
        // SAFETY: they do not change before the hook returns or a setter is called, and `self` lives no longer than
        // the hook and is borrowed meanwhile.
        unsafe { bytes.as_slice() }
    }

    fn increment(&mut self, counter: CounterId, labels: &mut [ModuleBuffer]) {
        // SAFETY: the pointer is that of the running hook; Envoy copies the labels. The result can
        // only say that the id or the number of labels is wrong, and both come from the registry.
        unsafe {
            envoy_dynamic_module_callback_http_filter_increment_counter(
                self.0,
                counter.0,
                labels.as_mut_ptr(),
                labels.len(),
                1,
            );
        }
    }

    fn record_value(&mut self, histogram: HistogramId, labels: &mut [ModuleBuffer], value: u64) {
        // SAFETY: the pointer is that of the running hook; Envoy copies the labels. The result can only say that the id
        // or the number of labels is wrong, and both come from the registry.
        unsafe {
            envoy_dynamic_module_callback_http_filter_record_histogram_value(
                self.0,
                histogram.0,
                labels.as_mut_ptr(),
                labels.len(),
                value,
            );
        }
    }

    fn set_number(&mut self, namespace: &str, key: &str, value: f64) {
        // SAFETY: the pointer is that of the running hook; Envoy copies namespace and key.
        unsafe {
            envoy_dynamic_module_callback_http_set_dynamic_metadata_number(
                self.0,
                namespace.into(),
                key.into(),
                value,
            );
        }
    }

    fn set_header(&mut self, header_type: u32, name: &str, value: ModuleBuffer) {
        // SAFETY: the pointer is that of the running hook; Envoy copies name and value. It answers
        // false when there is no such header map in this phase, and then there is nothing to do.
        unsafe {
            envoy_dynamic_module_callback_http_set_header(self.0, header_type, name.into(), value);
        }
    }
}

impl Request for EnvoyStream {
    fn request_header(&self, name: &str) -> Option<&[u8]> {
        self.header(HEADER_REQUEST, name)
    }

    fn request_headers<const N: usize>(&self, names: [&str; N]) -> [Option<&[u8]>; N] {
        let mut values = [None; N];
        self.each_request_header(|name, found| {
            for (wanted, value) in names.iter().zip(&mut values) {
                if value.is_none() && wanted.as_bytes() == name {
                    *value = Some(found);
                }
            }
        });
        values
    }

    fn each_request_header<'a>(&'a self, mut each: impl FnMut(&'a [u8], &'a [u8])) {
        // SAFETY: the pointer is that of the running hook.
        let count =
            unsafe { envoy_dynamic_module_callback_http_get_headers_size(self.0, HEADER_REQUEST) };
        let (mut few, mut many) = ([EnvoyHeader::EMPTY; FEW_HEADERS], Vec::new());
        let headers = if count <= FEW_HEADERS {
            &mut few[..count]
        } else {
            many.resize(count, EnvoyHeader::EMPTY);
            &mut many[..]
        };
        // SAFETY: Envoy writes exactly as many headers as it has just said, or none and says so.
        let present = unsafe {
            envoy_dynamic_module_callback_http_get_headers(
                self.0,
                HEADER_REQUEST,
                headers.as_mut_ptr(),
            )
        };
        for header in headers.iter().filter(|_| present) {
            each(self.lent(header.name), self.lent(header.value));
        }
    }

    fn set_request_header(&mut self, name: &str, value: &str) {
        self.set_header(HEADER_REQUEST, name, value.into());
    }
}

impl Routed<RouteConfig> for EnvoyStream {
    fn route_config(&self) -> Option<&RouteConfig> {
        // SAFETY: the pointer is that of the running hook.
        let config =
            unsafe { envoy_dynamic_module_callback_get_most_specific_route_config(self.0) };
        // SAFETY: null, or what `per_route_config_new` made of type `RouteConfig`; the stream holds
        // its route, and the route its configuration, for longer than the hook runs.
        unsafe { config.cast::<RouteConfig>().as_ref() }
    }

    fn choose_route_again(&mut self) {
        // SAFETY: the pointer is that of the running hook. Nothing borrows the old route's configuration: it would borrow
        // the stream.
        unsafe { envoy_dynamic_module_callback_http_clear_route_cache(self.0) }
    }
}

impl Destination for EnvoyStream {
    fn has_no_healthy_endpoint(&self) -> bool {
        let (mut total, mut healthy, mut degraded) = (0, 0, 0);
        // SAFETY: the pointer is that of the running hook; Envoy writes three numbers, or answers false.
        let found = unsafe {
            envoy_dynamic_module_callback_http_get_cluster_host_count(
                self.0,
                HIGHEST_PRIORITY,
                &mut total,
                &mut healthy,
                &mut degraded,
            )
        };
        found && healthy + degraded == 0
    }
}

impl Connected for EnvoyStream {
    fn server_name(&self) -> Option<&[u8]> {
        self.attribute(ATTRIBUTE_REQUESTED_SERVER_NAME)
    }
}

impl Upstream for EnvoyStream {
    fn endpoint(&self) -> Option<&[u8]> {
        self.attribute(ATTRIBUTE_UPSTREAM_ADDRESS)
    }
}

impl AccessLog for EnvoyStream {
    fn leave_out_of_log(&mut self) {
        self.set_number(LOG_NAMESPACE, LOG_KEY, 0.0);
    }

    fn note_refusal(&mut self, reason: &'static str) {
        self.set_text(LOG_NAMESPACE, REFUSED_KEY, reason);
    }

    fn note_cache(&mut self, outcome: &'static str) {
        self.set_text(LOG_NAMESPACE, CACHE_KEY, outcome);
    }

    fn cache_note(&self) -> Option<&[u8]> {
        let mut value = EnvoyBuffer::EMPTY;
        // SAFETY: the pointer is that of the running hook; Envoy reads namespace and key before it returns and writes one
        // buffer.
        let found = unsafe {
            envoy_dynamic_module_callback_http_get_metadata_string(
                self.0,
                METADATA_DYNAMIC,
                LOG_NAMESPACE.into(),
                CACHE_KEY.into(),
                &mut value,
            )
        };
        // SAFETY: only a method that takes the stream `&mut` changes the text, and `self` lives no longer than the hook.
        found.then(|| unsafe { value.as_slice() })
    }

    fn note_text(&mut self, key: &str, value: &str) {
        self.set_text(CALL_NAMESPACE, key, value);
    }

    fn note_number(&mut self, key: &str, value: u64) {
        self.set_number(CALL_NAMESPACE, key, value as f64);
    }
}

impl EnvoyStream {
    /// Sends a response of the filter's own in place of Milvus's.
    ///
    /// Envoy runs the hooks of the response while this runs, and may destroy the filter of the stream: nothing may
    /// borrow that filter.
    pub fn send_local_reply(&mut self, reply: &LocalReply) {
        const STATUS: (&str, &str) = (":status", "200");
        const TYPE: (&str, &str) = ("content-type", "application/grpc");
        match reply {
            LocalReply::Message(message) => {
                self.send_message(&mut [STATUS.into(), TYPE.into()], message);
            }
            LocalReply::Stored { header: (name, value), body } => {
                let header = (*name, value.as_str());
                self.send_message(&mut [STATUS.into(), TYPE.into(), header.into()], body);
            }
            LocalReply::Json { status, retry_after, body } => {
                let status = status.to_string();
                let after = retry_after.map(|seconds| seconds.to_string());
                let mut headers = vec![
                    (":status", status.as_str()).into(),
                    ("content-type", "application/json").into(),
                ];
                headers.extend(after.as_ref().map(|after| ("retry-after", after.as_str()).into()));
                self.send_headers(&mut headers);
                self.send_data(body.as_bytes(), true);
            }
        }
    }

    /// Passes on what is held of the request. Nothing may borrow the stream's filter, as for `send_local_reply`.
    pub fn continue_request(&mut self) {
        // SAFETY: the pointer is that of the running hook.
        unsafe { envoy_dynamic_module_callback_http_filter_continue_decoding(self.0) }
    }

    /// Sends a gRPC answer with one framed message and the status OK.
    fn send_message(&mut self, headers: &mut [ModuleHeader], message: &[u8]) {
        self.send_headers(headers);
        self.send_data(message, false);
        let mut trailers = [ModuleHeader::from(("grpc-status", "0"))];
        // SAFETY: the pointer is that of the running hook; Envoy copies the trailers, and does nothing for a stream that
        // is gone.
        unsafe {
            envoy_dynamic_module_callback_http_send_response_trailers(
                self.0,
                trailers.as_mut_ptr(),
                trailers.len(),
            );
        }
    }

    fn send_headers(&mut self, headers: &mut [ModuleHeader]) {
        // SAFETY: the pointer is that of the running hook; Envoy copies the headers.
        unsafe {
            envoy_dynamic_module_callback_http_send_response_headers(
                self.0,
                headers.as_mut_ptr(),
                headers.len(),
                false,
            );
        }
    }

    fn send_data(&mut self, data: &[u8], end: bool) {
        // SAFETY: the pointer is that of the running hook; Envoy copies the data, and does nothing for a stream that is
        // gone.
        unsafe { envoy_dynamic_module_callback_http_send_response_data(self.0, data.into(), end) }
    }

    fn set_text(&mut self, namespace: &str, key: &str, value: &str) {
        // SAFETY: the pointer is that of the running hook; Envoy copies namespace, key and value.
        unsafe {
            envoy_dynamic_module_callback_http_set_dynamic_metadata_string(
                self.0,
                namespace.into(),
                key.into(),
                value.into(),
            );
        }
    }
}

/// Envoy's means to wake a stream from any thread.
struct Scheduler(*mut c_void);

// SAFETY: Envoy's scheduler may be used by one thread after another: it only posts to the stream's own thread, and holds
// the stream weakly.
unsafe impl Send for Scheduler {}

impl Wake for Scheduler {
    fn wake(&self) {
        // SAFETY: the pointer is that of a scheduler that is not deleted. The thread of the stream runs: what calls this
        // forgets the scheduler before the filter of the stream is destroyed.
        unsafe { envoy_dynamic_module_callback_http_filter_scheduler_commit(self.0, 0) }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // SAFETY: the pointer is that of a scheduler, which no other code deletes.
        unsafe { envoy_dynamic_module_callback_http_filter_scheduler_delete(self.0) }
    }
}

impl Wakeable for EnvoyStream {
    fn waker(&self) -> Box<dyn Wake> {
        // SAFETY: the pointer is that of the running hook. The scheduler is ours to delete.
        let scheduler = unsafe { envoy_dynamic_module_callback_http_filter_scheduler_new(self.0) };
        Box::new(Scheduler(scheduler))
    }
}

impl Caller for EnvoyStream {
    fn start_call(&mut self, call: &OwnCall) -> Option<OwnCallId> {
        let pairs = call.headers.iter();
        let mut headers: Vec<_> =
            pairs.map(|(name, value)| ModuleHeader::from((&name[..], &value[..]))).collect();
        let mut id = 0;
        let timeout = u64::try_from(call.timeout.as_millis()).unwrap_or(u64::MAX);
        STARTS_CALL.set(true);
        // SAFETY: the pointer is that of the running hook; Envoy copies name, headers and body, and writes one u64. Where it
        // answers the call itself at once, it runs `http_callout_done` meanwhile, which does nothing then.
        let result = unsafe {
            envoy_dynamic_module_callback_http_filter_http_callout(
                self.0,
                &mut id,
                call.cluster.as_str().into(),
                headers.as_mut_ptr(),
                headers.len(),
                call.body.as_slice().into(),
                timeout,
            )
        };
        STARTS_CALL.set(false);
        (result == CALLOUT_STARTED).then_some(OwnCallId(id))
    }
}

impl Response for EnvoyStream {
    fn response_header(&self, name: &str) -> Option<&[u8]> {
        self.header(HEADER_RESPONSE, name)
    }

    fn set_response_header(&mut self, name: &str, value: &str) {
        self.set_header(HEADER_RESPONSE, name, value.into());
    }

    fn remove_response_header(&mut self, name: &str) {
        self.set_header(HEADER_RESPONSE, name, ModuleBuffer::NULL);
    }

    fn response_trailer(&self, name: &str) -> Option<&[u8]> {
        self.header(HEADER_RESPONSE_TRAILER, name)
    }

    fn set_response_trailer(&mut self, name: &str, value: &str) {
        self.set_header(HEADER_RESPONSE_TRAILER, name, value.into());
    }
}

impl RequestBody for EnvoyStream {
    fn read_request_body(&self, read: impl FnMut(&[u8])) {
        self.read_body(BODY_RECEIVED_REQUEST, read);
    }

    fn read_held_request_body(&self, read: impl FnMut(&[u8])) {
        self.read_body(BODY_BUFFERED_REQUEST, read);
    }

    fn replace_request_body(&mut self, body: &[u8]) {
        for body_type in [BODY_RECEIVED_REQUEST, BODY_BUFFERED_REQUEST] {
            // SAFETY: the pointer is that of the running hook; Envoy drops no more than there is, and answers false
            // where there is no such body.
            unsafe {
                envoy_dynamic_module_callback_http_drain_body(self.0, body_type, usize::MAX);
            }
        }
        // Only a hook of the body has a received body. Envoy appends it to what it holds.
        for body_type in [BODY_RECEIVED_REQUEST, BODY_BUFFERED_REQUEST] {
            // SAFETY: the pointer is that of the running hook; Envoy copies the bytes, and answers false where there is
            // no such body.
            let is_added = unsafe {
                envoy_dynamic_module_callback_http_append_body(self.0, body_type, body.into())
            };
            if is_added {
                return;
            }
        }
    }
}

impl ResponseBody for EnvoyStream {
    fn read_response_body(&self, read: impl FnMut(&[u8])) {
        self.read_body(BODY_RECEIVED_RESPONSE, read);
    }

    fn response_body_start(&self) -> &[u8] {
        self.with_body(BODY_RECEIVED_RESPONSE, |chunks| {
            chunks.first().map_or(&[][..], |chunk| self.lent(*chunk))
        })
    }

    fn copy_response_body(&self, head: &mut Vec<u8>, limit: usize) {
        self.with_body(BODY_RECEIVED_RESPONSE, |chunks| {
            for chunk in chunks {
                let bytes = self.lent(*chunk);
                let room = limit.saturating_sub(head.len());
                head.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
        });
    }

    fn drop_response_body(&mut self) {
        for body_type in [BODY_RECEIVED_RESPONSE, BODY_BUFFERED_RESPONSE] {
            // SAFETY: the pointer is that of the running hook; Envoy drops no more than there is, and
            // answers false where there is no such body.
            unsafe {
                envoy_dynamic_module_callback_http_drain_body(self.0, body_type, usize::MAX);
            }
        }
    }
}

impl Counters for EnvoyStream {
    fn count(&mut self, counter: CounterId) {
        self.increment(counter, &mut []);
    }

    fn count_label(&mut self, counter: CounterId, label: &str) {
        self.increment(counter, &mut [label.into()]);
    }

    fn record(&mut self, histogram: HistogramId, value: u64) {
        self.record_value(histogram, &mut [], value);
    }

    fn record_label(&mut self, histogram: HistogramId, label: &str, value: u64) {
        self.record_value(histogram, &mut [label.into()], value);
    }

    fn raise(&mut self, gauge: GaugeId, label: &str) {
        let mut labels = [label.into()];
        // SAFETY: the pointer is that of the running hook; Envoy copies the label. The result can only say that the id
        // or the number of labels is wrong, and both come from the registry.
        unsafe {
            envoy_dynamic_module_callback_http_filter_increment_gauge(
                self.0,
                gauge.0,
                labels.as_mut_ptr(),
                labels.len(),
                1,
            );
        }
    }

    fn lower(&mut self, gauge: GaugeId, label: &str) {
        let mut labels = [label.into()];
        // SAFETY: as in `raise`.
        unsafe {
            envoy_dynamic_module_callback_http_filter_decrement_gauge(
                self.0,
                gauge.0,
                labels.as_mut_ptr(),
                labels.len(),
                1,
            );
        }
    }
}

impl Clock for EnvoyStream {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn boot_time(&self) -> BootTime {
        boot_time()
    }
}
