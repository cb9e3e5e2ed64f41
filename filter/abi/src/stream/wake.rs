//! Wakes a stream from any thread.

use std::ffi::c_void;

use kiteway_filter_core::host::wake::{Wake, Wakeable};

use crate::callbacks::*;
use crate::stream::EnvoyStream;

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
        let scheduler =
            unsafe { envoy_dynamic_module_callback_http_filter_scheduler_new(self.hook) };
        Box::new(Scheduler(scheduler))
    }
}
