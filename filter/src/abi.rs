//! Envoy's dynamic module ABI: the callbacks of Envoy this module uses, in safe clothes.
//!
//! The declarations are written by hand from the ABI of released Envoy versions (1.38 and later),
//! and only what was released there is used: a released entity is never changed in place.

#![allow(unsafe_code)]

mod hooks;

use std::ffi::c_void;
use std::{ptr, slice};

use crate::filter::Stream;
use crate::metrics::{CounterId, HistogramId, Registry};
use crate::route::RouteConfig;

/// Bytes that Envoy owns, valid until the hook returns or a setter is called.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EnvoyBuffer {
    ptr: *const u8,
    length: usize,
}

impl EnvoyBuffer {
    const EMPTY: Self = Self { ptr: ptr::null(), length: 0 };

    /// # Safety
    /// The buffer must come from Envoy, and `'a` must end before Envoy may free or change it.
    unsafe fn as_slice<'a>(self) -> &'a [u8] {
        if self.ptr.is_null() {
            return &[];
        }
        // SAFETY: not null, and the caller vouches for the rest.
        unsafe { slice::from_raw_parts(self.ptr, self.length) }
    }
}

/// Bytes that the module owns, lent for the time of a call.
#[repr(C)]
struct ModuleBuffer {
    ptr: *const u8,
    length: usize,
}

impl ModuleBuffer {
    /// The value that removes a header.
    const NULL: Self = Self { ptr: ptr::null(), length: 0 };
}

impl From<&[u8]> for ModuleBuffer {
    fn from(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), length: bytes.len() }
    }
}

impl From<&str> for ModuleBuffer {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

/// A header that the module owns, lent for the time of a call.
#[repr(C)]
struct ModuleHeader {
    name: ModuleBuffer,
    value: ModuleBuffer,
}

impl From<(&str, &str)> for ModuleHeader {
    fn from((name, value): (&str, &str)) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

const HEADER_REQUEST: u32 = 0;
const HEADER_RESPONSE: u32 = 2;
const HEADER_RESPONSE_TRAILER: u32 = 3;
const BODY_RECEIVED_RESPONSE: u32 = 2;
const BODY_BUFFERED_RESPONSE: u32 = 3;
/// More pieces than what one read of a socket brings has, nearly always.
const FEW_CHUNKS: usize = 4;
const LOG_ERROR: u32 = 4;
const METRICS_SUCCESS: u32 = 0;

/// The dynamic metadata that the access log's filter looks at: 0 leaves a request out.
const LOG_NAMESPACE: &str = "kiteway";
const LOG_KEY: &str = "logged";

unsafe extern "C" {
    fn envoy_dynamic_module_callback_log(level: u32, message: ModuleBuffer);

    fn envoy_dynamic_module_callback_http_filter_config_define_counter(
        config: *mut c_void,
        name: ModuleBuffer,
        label_names: *mut ModuleBuffer,
        label_names_length: usize,
        counter_id: *mut usize,
    ) -> u32;

    fn envoy_dynamic_module_callback_http_filter_config_define_histogram(
        config: *mut c_void,
        name: ModuleBuffer,
        label_names: *mut ModuleBuffer,
        label_names_length: usize,
        histogram_id: *mut usize,
    ) -> u32;

    fn envoy_dynamic_module_callback_http_filter_record_histogram_value(
        filter: *mut c_void,
        histogram_id: usize,
        label_values: *mut ModuleBuffer,
        label_values_length: usize,
        value: u64,
    ) -> u32;

    fn envoy_dynamic_module_callback_http_filter_increment_counter(
        filter: *mut c_void,
        counter_id: usize,
        label_values: *mut ModuleBuffer,
        label_values_length: usize,
        value: u64,
    ) -> u32;

    fn envoy_dynamic_module_callback_http_get_header(
        filter: *mut c_void,
        header_type: u32,
        key: ModuleBuffer,
        result: *mut EnvoyBuffer,
        index: usize,
        optional_size: *mut usize,
    ) -> bool;

    fn envoy_dynamic_module_callback_http_set_header(
        filter: *mut c_void,
        header_type: u32,
        key: ModuleBuffer,
        value: ModuleBuffer,
    ) -> bool;

    fn envoy_dynamic_module_callback_get_most_specific_route_config(
        filter: *mut c_void,
    ) -> *const c_void;

    fn envoy_dynamic_module_callback_http_set_dynamic_metadata_number(
        filter: *mut c_void,
        namespace: ModuleBuffer,
        key: ModuleBuffer,
        value: f64,
    );

    fn envoy_dynamic_module_callback_http_send_response_headers(
        filter: *mut c_void,
        headers: *mut ModuleHeader,
        headers_length: usize,
        end_stream: bool,
    );

    fn envoy_dynamic_module_callback_http_send_response_data(
        filter: *mut c_void,
        data: ModuleBuffer,
        end_stream: bool,
    );

    fn envoy_dynamic_module_callback_http_send_response_trailers(
        filter: *mut c_void,
        trailers: *mut ModuleHeader,
        trailers_length: usize,
    );

    fn envoy_dynamic_module_callback_http_get_body_chunks_size(
        filter: *mut c_void,
        body_type: u32,
    ) -> usize;

    fn envoy_dynamic_module_callback_http_get_body_chunks(
        filter: *mut c_void,
        body_type: u32,
        result: *mut EnvoyBuffer,
    ) -> bool;

    fn envoy_dynamic_module_callback_http_drain_body(
        filter: *mut c_void,
        body_type: u32,
        number_of_bytes: usize,
    ) -> bool;
}

/// Writes an error to Envoy's log.
fn log_error(message: &str) {
    // SAFETY: Envoy copies the message before it returns.
    unsafe { envoy_dynamic_module_callback_log(LOG_ERROR, message.into()) }
}

/// Envoy's side of a filter configuration being made.
struct EnvoyConfig(*mut c_void);

impl EnvoyConfig {
    fn define(&mut self, name: &str, labels: &mut [ModuleBuffer]) -> Result<CounterId, String> {
        let mut id = 0;
        // SAFETY: the pointer is that of the running config_new hook; Envoy copies names and
        // labels, and writes one usize.
        let result = unsafe {
            envoy_dynamic_module_callback_http_filter_config_define_counter(
                self.0,
                name.into(),
                labels.as_mut_ptr(),
                labels.len(),
                &mut id,
            )
        };
        defined(result, name).map(|()| CounterId(id))
    }
}

impl Registry for EnvoyConfig {
    fn define_counter(&mut self, name: &str) -> Result<CounterId, String> {
        self.define(name, &mut [])
    }

    fn define_labelled_counter(&mut self, name: &str, label: &str) -> Result<CounterId, String> {
        self.define(name, &mut [label.into()])
    }

    fn define_histogram(&mut self, name: &str) -> Result<HistogramId, String> {
        let mut id = 0;
        // SAFETY: the pointer is that of the running config_new hook; Envoy copies the name, reads no
        // labels, and writes one usize.
        let result = unsafe {
            envoy_dynamic_module_callback_http_filter_config_define_histogram(
                self.0,
                name.into(),
                ptr::null_mut(),
                0,
                &mut id,
            )
        };
        defined(result, name).map(|()| HistogramId(id))
    }
}

fn defined(result: u32, name: &str) -> Result<(), String> {
    if result == METRICS_SUCCESS {
        return Ok(());
    }
    Err(format!("Envoy refused to define the metric {name} (metrics result {result})"))
}

/// Envoy's side of a stream, for the time of one hook.
///
/// What its methods lend borrows it, and whatever could invalidate that takes it `&mut`.
struct EnvoyStream(*mut c_void);

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

    /// Hands `read` the pieces of what the running body hook received.
    fn with_response_body<T>(&self, read: impl FnOnce(&[EnvoyBuffer]) -> T) -> T {
        // SAFETY: the pointer is that of the running hook.
        let count = unsafe {
            envoy_dynamic_module_callback_http_get_body_chunks_size(self.0, BODY_RECEIVED_RESPONSE)
        };
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
                BODY_RECEIVED_RESPONSE,
                chunks.as_mut_ptr(),
            )
        };
        read(if present { chunks } else { &[] })
    }

    /// The bytes of a piece of the body.
    fn lent(&self, chunk: EnvoyBuffer) -> &[u8] {
        // SAFETY: the body does not change before the hook returns or a setter is called, and `self` lives no
        // longer than the hook and is borrowed meanwhile.
        unsafe { chunk.as_slice() }
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

    fn set_header(&mut self, header_type: u32, name: &str, value: ModuleBuffer) {
        // SAFETY: the pointer is that of the running hook; Envoy copies name and value. It answers
        // false when there is no such header map in this phase, and then there is nothing to do.
        unsafe {
            envoy_dynamic_module_callback_http_set_header(self.0, header_type, name.into(), value);
        }
    }
}

impl Stream for EnvoyStream {
    fn request_header(&self, name: &str) -> Option<&[u8]> {
        self.header(HEADER_REQUEST, name)
    }

    fn route_config(&self) -> Option<&RouteConfig> {
        // SAFETY: the pointer is that of the running hook.
        let config =
            unsafe { envoy_dynamic_module_callback_get_most_specific_route_config(self.0) };
        // SAFETY: null, or what `per_route_config_new` made of type `RouteConfig`; the stream holds
        // its route, and the route its configuration, for longer than the hook runs.
        unsafe { config.cast::<RouteConfig>().as_ref() }
    }

    fn leave_out_of_log(&mut self) {
        // SAFETY: the pointer is that of the running hook; Envoy copies namespace and key.
        unsafe {
            envoy_dynamic_module_callback_http_set_dynamic_metadata_number(
                self.0,
                LOG_NAMESPACE.into(),
                LOG_KEY.into(),
                0.0,
            );
        }
    }

    fn respond(&mut self, message: &[u8]) {
        let mut headers = [
            ModuleHeader::from((":status", "200")),
            ModuleHeader::from(("content-type", "application/grpc")),
        ];
        let mut trailers = [ModuleHeader::from(("grpc-status", "0"))];
        // SAFETY: the pointer is that of the running hook; Envoy copies headers, data and trailers,
        // and does nothing for a stream that is gone.
        unsafe {
            envoy_dynamic_module_callback_http_send_response_headers(
                self.0,
                headers.as_mut_ptr(),
                headers.len(),
                false,
            );
            envoy_dynamic_module_callback_http_send_response_data(self.0, message.into(), false);
            envoy_dynamic_module_callback_http_send_response_trailers(
                self.0,
                trailers.as_mut_ptr(),
                trailers.len(),
            );
        }
    }

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

    fn response_body_start(&self) -> &[u8] {
        self.with_response_body(|chunks| chunks.first().map_or(&[][..], |chunk| self.lent(*chunk)))
    }

    fn copy_response_body(&self, head: &mut Vec<u8>, limit: usize) {
        self.with_response_body(|chunks| {
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

    fn set_response_trailer(&mut self, name: &str, value: &str) {
        self.set_header(HEADER_RESPONSE_TRAILER, name, value.into());
    }

    fn count(&mut self, counter: CounterId) {
        self.increment(counter, &mut []);
    }

    fn count_label(&mut self, counter: CounterId, label: &str) {
        self.increment(counter, &mut [label.into()]);
    }

    fn record(&mut self, histogram: HistogramId, value: u64) {
        // SAFETY: the pointer is that of the running hook; Envoy reads no labels. The result can only say that the
        // id is wrong, and it comes from the registry.
        unsafe {
            envoy_dynamic_module_callback_http_filter_record_histogram_value(
                self.0,
                histogram.0,
                ptr::null_mut(),
                0,
                value,
            );
        }
    }
}
