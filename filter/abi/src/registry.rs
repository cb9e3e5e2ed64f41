//! Envoy as the registry of the filter's metrics.

use std::ffi::c_void;
use std::ptr;

use kiteway_filter_core::host::counters::{CounterId, HistogramId, Registry};

use crate::buffers::ModuleBuffer;
use crate::callbacks::*;

const METRICS_SUCCESS: u32 = 0;

/// Envoy's side of a filter configuration being made.
pub struct EnvoyConfig(pub *mut c_void);

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
