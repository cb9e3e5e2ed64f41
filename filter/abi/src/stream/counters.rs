//! What the filter counts and measures.

use kiteway_filter_core::host::counters::{CounterId, Counters, GaugeId, HistogramId};

use crate::buffers::ModuleBuffer;
use crate::callbacks::*;
use crate::stream::EnvoyStream;

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
                self.hook,
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
                self.hook,
                gauge.0,
                labels.as_mut_ptr(),
                labels.len(),
                1,
            );
        }
    }
}

impl EnvoyStream {
    fn increment(&mut self, counter: CounterId, labels: &mut [ModuleBuffer]) {
        // SAFETY: the pointer is that of the running hook; Envoy copies the labels. The result can
        // only say that the id or the number of labels is wrong, and both come from the registry.
        unsafe {
            envoy_dynamic_module_callback_http_filter_increment_counter(
                self.hook,
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
                self.hook,
                histogram.0,
                labels.as_mut_ptr(),
                labels.len(),
                value,
            );
        }
    }
}
