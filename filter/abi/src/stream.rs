//! Envoy's side of a stream, as the ports of the filter.

mod body;
mod counters;
mod log;
mod own_call;
mod request;
mod response;
mod wake;

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::time::Instant;

use kiteway_filter_core::host::clock::{BootTime, Clock};

use crate::buffers::{EnvoyBuffer, ModuleBuffer};
use crate::callbacks::*;
use crate::clock::boot_time;
pub use crate::stream::own_call::starts_call;

/// Envoy's side of a stream, for the time of one hook.
///
/// Bytes that a method returns borrow the stream, and every method that could invalidate them takes it `&mut`.
pub struct EnvoyStream {
    /// Envoy's pointer for the running hook.
    hook: *mut c_void,
    /// The configuration of the route, once it was asked for: Envoy takes a while to find it.
    route_config: Cell<Option<*const c_void>>,
    /// The first piece of what the hook received of the response's body, once it was read.
    response_start: Cell<Option<EnvoyBuffer>>,
}

impl EnvoyStream {
    /// The stream of a running hook.
    pub fn new(filter_envoy: *mut c_void) -> Self {
        let (route_config, response_start) = (Cell::new(None), Cell::new(None));
        Self { hook: filter_envoy, route_config, response_start }
    }

    fn header(&self, header_type: u32, name: &str) -> Option<&[u8]> {
        let mut value = EnvoyBuffer::EMPTY;
        // SAFETY: the pointer is that of the running hook; Envoy reads the name before it returns
        // and writes one buffer; the optional size may be null.
        let found = unsafe {
            envoy_dynamic_module_callback_http_get_header(
                self.hook,
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

    fn set_header(&mut self, header_type: u32, name: &str, value: ModuleBuffer) {
        // SAFETY: the pointer is that of the running hook; Envoy copies name and value. It answers
        // false when there is no such header map in this phase, and then there is nothing to do.
        unsafe {
            envoy_dynamic_module_callback_http_set_header(
                self.hook,
                header_type,
                name.into(),
                value,
            );
        }
    }

    /// The bytes of a header, or of a piece of the body.
    fn lent(&self, bytes: EnvoyBuffer) -> &[u8] {
        // SAFETY: they do not change before the hook returns or a setter is called, and `self` lives no longer than
        // the hook and is borrowed meanwhile.
        unsafe { bytes.as_slice() }
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
