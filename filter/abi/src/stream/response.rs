//! What the filter reads and changes of a response, and the responses that it sends itself.

use kiteway_filter_core::host::response::{LocalReply, Response};

use crate::buffers::{ModuleBuffer, ModuleHeader};
use crate::callbacks::*;
use crate::stream::EnvoyStream;

const HEADER_RESPONSE: u32 = 2;
const HEADER_RESPONSE_TRAILER: u32 = 3;

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
        unsafe { envoy_dynamic_module_callback_http_filter_continue_decoding(self.hook) }
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
                self.hook,
                trailers.as_mut_ptr(),
                trailers.len(),
            );
        }
    }

    fn send_headers(&mut self, headers: &mut [ModuleHeader]) {
        // SAFETY: the pointer is that of the running hook; Envoy copies the headers.
        unsafe {
            envoy_dynamic_module_callback_http_send_response_headers(
                self.hook,
                headers.as_mut_ptr(),
                headers.len(),
                false,
            );
        }
    }

    fn send_data(&mut self, data: &[u8], end: bool) {
        // SAFETY: the pointer is that of the running hook; Envoy copies the data, and does nothing for a stream that is
        // gone.
        unsafe {
            envoy_dynamic_module_callback_http_send_response_data(self.hook, data.into(), end)
        }
    }
}
