//! What the filter says of a call in the dynamic metadata, for the access log and spans, and for itself.

use kiteway_filter_core::host::request::{AccessLog, StreamNote};

use crate::buffers::EnvoyBuffer;
use crate::callbacks::*;
use crate::stream::EnvoyStream;

/// The metadata of the stream itself, in the enum of sources of metadata.
const METADATA_DYNAMIC: u32 = 0;

/// The dynamic metadata that the access log's filter reads: 0 leaves a request out.
const LOG_NAMESPACE: &str = "kiteway";
const LOG_KEY: &str = "logged";
/// In the same namespace: why the filter refused the request.
const REFUSED_KEY: &str = "refused";
/// In the same namespace: what the cache did with the request.
const CACHE_KEY: &str = "cache";
/// In the same namespace: what the filters of a stream share.
const NOTE_KEY: &str = "note";
/// The dynamic metadata that a line of the access log shows.
const CALL_NAMESPACE: &str = "kiteway.call";

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

    fn note_text(&mut self, key: &str, value: &str) {
        self.set_text(CALL_NAMESPACE, key, value);
    }

    fn note_number(&mut self, key: &str, value: u64) {
        self.set_number(CALL_NAMESPACE, key, value as f64);
    }
}

impl StreamNote for EnvoyStream {
    fn stream_note(&self) -> Option<&[u8]> {
        self.text(LOG_NAMESPACE, NOTE_KEY)
    }

    fn set_stream_note(&mut self, text: &str) {
        self.set_text(LOG_NAMESPACE, NOTE_KEY, text);
    }
}

impl EnvoyStream {
    fn text(&self, namespace: &str, key: &str) -> Option<&[u8]> {
        let mut value = EnvoyBuffer::EMPTY;
        // SAFETY: the pointer is that of the running hook; Envoy reads namespace and key before it returns and writes one
        // buffer.
        let found = unsafe {
            envoy_dynamic_module_callback_http_get_metadata_string(
                self.hook,
                METADATA_DYNAMIC,
                namespace.into(),
                key.into(),
                &mut value,
            )
        };
        // SAFETY: only a method that takes the stream `&mut` changes the text, and `self` lives no longer than the hook.
        found.then(|| unsafe { value.as_slice() })
    }

    fn set_number(&mut self, namespace: &str, key: &str, value: f64) {
        // SAFETY: the pointer is that of the running hook; Envoy copies namespace and key.
        unsafe {
            envoy_dynamic_module_callback_http_set_dynamic_metadata_number(
                self.hook,
                namespace.into(),
                key.into(),
                value,
            );
        }
    }

    fn set_text(&mut self, namespace: &str, key: &str, value: &str) {
        // SAFETY: the pointer is that of the running hook; Envoy copies namespace, key and value.
        unsafe {
            envoy_dynamic_module_callback_http_set_dynamic_metadata_string(
                self.hook,
                namespace.into(),
                key.into(),
                value.into(),
            );
        }
    }
}
