//! Envoy as the registry of the filter's metrics.

use std::ffi::c_void;

use kiteway_filter_core::host::counters::{CounterId, GaugeId, HistogramId, Registry};

use crate::buffers::ModuleBuffer;
use crate::callbacks::*;

const METRICS_SUCCESS: u32 = 0;

/// Envoy's side of a filter configuration being made.
pub struct EnvoyConfig(pub *mut c_void);

impl EnvoyConfig {
    fn define(
        &mut self,
        define: Define,
        name: &str,
        labels: &mut [ModuleBuffer],
    ) -> Result<usize, String> {
        let mut id = 0;
        // SAFETY: the pointer is that of the running config_new hook; Envoy copies names and
        // labels, and writes one usize.
        let result =
            unsafe { define(self.0, name.into(), labels.as_mut_ptr(), labels.len(), &mut id) };
        defined(result, name).map(|()| id)
    }
}

/// The callbacks that define metrics have one type.
type Define =
    unsafe extern "C" fn(*mut c_void, ModuleBuffer, *mut ModuleBuffer, usize, *mut usize) -> u32;

const COUNTER: Define = envoy_dynamic_module_callback_http_filter_config_define_counter;
const GAUGE: Define = envoy_dynamic_module_callback_http_filter_config_define_gauge;
const HISTOGRAM: Define = envoy_dynamic_module_callback_http_filter_config_define_histogram;

impl Registry for EnvoyConfig {
    fn define_counter(&mut self, name: &str) -> Result<CounterId, String> {
        self.define(COUNTER, name, &mut []).map(CounterId)
    }

    fn define_labelled_counter(&mut self, name: &str, label: &str) -> Result<CounterId, String> {
        self.define(COUNTER, name, &mut [label.into()]).map(CounterId)
    }

    fn define_histogram(&mut self, name: &str) -> Result<HistogramId, String> {
        self.define(HISTOGRAM, name, &mut []).map(HistogramId)
    }

    fn define_labelled_histogram(
        &mut self,
        name: &str,
        label: &str,
    ) -> Result<HistogramId, String> {
        self.define(HISTOGRAM, name, &mut [label.into()]).map(HistogramId)
    }

    fn define_labelled_gauge(&mut self, name: &str, label: &str) -> Result<GaugeId, String> {
        self.define(GAUGE, name, &mut [label.into()]).map(GaugeId)
    }
}

fn defined(result: u32, name: &str) -> Result<(), String> {
    if result == METRICS_SUCCESS {
        return Ok(());
    }
    Err(format!("Envoy refused to define the metric {name} (metrics result {result})"))
}
