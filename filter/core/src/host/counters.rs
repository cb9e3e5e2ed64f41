//! Counters and histograms.

/// A counter that a `Registry` has defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterId(pub usize);

/// A histogram that a `Registry` has defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistogramId(pub usize);

/// A gauge that a `Registry` has defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GaugeId(pub usize);

/// Defines metrics. Envoy can do so while it reads the filter's configuration, and never later.
pub trait Registry {
    /// Defines a counter, or says why that is impossible.
    fn define_counter(&mut self, name: &str) -> Result<CounterId, String>;

    /// Defines a counter with one label, for what is rare: to look a label up is expensive.
    fn define_labelled_counter(&mut self, name: &str, label: &str) -> Result<CounterId, String>;

    /// Defines a histogram, or says why that is impossible.
    fn define_histogram(&mut self, name: &str) -> Result<HistogramId, String>;

    /// Defines a histogram with one label.
    fn define_labelled_histogram(&mut self, name: &str, label: &str)
        -> Result<HistogramId, String>;

    /// Defines a gauge with one label.
    fn define_labelled_gauge(&mut self, name: &str, label: &str) -> Result<GaugeId, String>;
}

/// Writes to metrics.
pub trait Counters {
    /// Adds one to a counter without label.
    fn count(&mut self, counter: CounterId);

    /// Adds one to a labelled counter, for the value `label` of its label.
    fn count_label(&mut self, counter: CounterId, label: &str);

    /// Records a value.
    fn record(&mut self, histogram: HistogramId, value: u64);

    /// Records a value, for the value `label` of the histogram's label.
    fn record_label(&mut self, histogram: HistogramId, label: &str, value: u64);

    /// Raises a labelled gauge by one.
    fn raise(&mut self, gauge: GaugeId, label: &str);

    /// Lowers a labelled gauge by one.
    fn lower(&mut self, gauge: GaugeId, label: &str);
}
