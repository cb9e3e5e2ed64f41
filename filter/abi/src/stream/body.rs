//! What the filter reads and changes of the bodies.

use kiteway_filter_core::host::body::{RequestBody, ResponseBody};

use crate::buffers::EnvoyBuffer;
use crate::callbacks::*;
use crate::stream::EnvoyStream;

const BODY_RECEIVED_REQUEST: u32 = 0;
const BODY_BUFFERED_REQUEST: u32 = 1;
const BODY_RECEIVED_RESPONSE: u32 = 2;
const BODY_BUFFERED_RESPONSE: u32 = 3;
/// One read of a socket nearly always brings fewer pieces than this.
const FEW_CHUNKS: usize = 4;

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
                envoy_dynamic_module_callback_http_drain_body(self.hook, body_type, usize::MAX);
            }
        }
        // Only a hook of the body has a received body. Envoy appends it to what it holds.
        for body_type in [BODY_RECEIVED_REQUEST, BODY_BUFFERED_REQUEST] {
            // SAFETY: the pointer is that of the running hook; Envoy copies the bytes, and answers false where there is
            // no such body.
            let is_added = unsafe {
                envoy_dynamic_module_callback_http_append_body(self.hook, body_type, body.into())
            };
            if is_added {
                return;
            }
        }
    }
}

impl ResponseBody for EnvoyStream {
    fn read_response_body(&self, mut read: impl FnMut(&[u8])) {
        self.with_body(BODY_RECEIVED_RESPONSE, |chunks| {
            self.response_start.set(Some(start_of(chunks)));
            for chunk in chunks {
                read(self.lent(*chunk));
            }
        });
    }

    fn response_body_start(&self) -> &[u8] {
        let start = self
            .response_start
            .get()
            .unwrap_or_else(|| self.with_body(BODY_RECEIVED_RESPONSE, start_of));
        self.lent(start)
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
        self.response_start.set(None);
        for body_type in [BODY_RECEIVED_RESPONSE, BODY_BUFFERED_RESPONSE] {
            // SAFETY: the pointer is that of the running hook; Envoy drops no more than there is, and
            // answers false where there is no such body.
            unsafe {
                envoy_dynamic_module_callback_http_drain_body(self.hook, body_type, usize::MAX);
            }
        }
    }
}

impl EnvoyStream {
    /// Hands `read` the pieces of what the running body hook received.
    fn with_body<T>(&self, body_type: u32, read: impl FnOnce(&[EnvoyBuffer]) -> T) -> T {
        // SAFETY: the pointer is that of the running hook.
        let count = unsafe {
            envoy_dynamic_module_callback_http_get_body_chunks_size(self.hook, body_type)
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
                self.hook,
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
}

fn start_of(chunks: &[EnvoyBuffer]) -> EnvoyBuffer {
    chunks.first().copied().unwrap_or(EnvoyBuffer::EMPTY)
}
