//! Calls that the filter makes.

use std::cell::Cell;

use kiteway_filter_core::host::own_call::{Caller, OwnCall, OwnCallId};

use crate::buffers::ModuleHeader;
use crate::callbacks::*;
use crate::stream::EnvoyStream;

/// `Success` of the results of the beginning of a callout.
const CALLOUT_STARTED: u32 = 0;

thread_local! {
    /// Whether a call of the filter's own is being begun on this thread, by a hook that has borrowed the stream's filter.
    static STARTS_CALL: Cell<bool> = const { Cell::new(false) };
}

/// Whether a hook runs while another one begins a call. It must not touch the stream's filter.
pub fn starts_call() -> bool {
    STARTS_CALL.get()
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
                self.hook,
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
