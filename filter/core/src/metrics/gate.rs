//! What is counted of the calls that wait or are refused. Only routes with a policy have such calls.

use std::time::Duration;

use crate::host::counters::{CounterId, Counters, GaugeId, HistogramId, Registry};

/// Refused calls, by reason.
const REFUSED: &str = "refused_total";
const REASON_LABEL: &str = "reason";
/// Calls that wait, by pool.
const QUEUED: &str = "queued";
/// Milliseconds of calls that waited and had their turn, by pool.
const WAIT: &str = "queue_time";
/// Its values come from the configuration.
const POOL_LABEL: &str = "pool";

#[derive(Clone, Debug)]
pub struct GateMetrics {
    refused: CounterId,
    queued: GaugeId,
    wait: HistogramId,
}

impl GateMetrics {
    /// Defines the metrics of a listener, or says why that is impossible. Envoy makes those that are used.
    pub fn define(registry: &mut impl Registry) -> Result<Self, String> {
        Ok(Self {
            refused: registry.define_labelled_counter(REFUSED, REASON_LABEL)?,
            queued: registry.define_labelled_gauge(QUEUED, POOL_LABEL)?,
            wait: registry.define_labelled_histogram(WAIT, POOL_LABEL)?,
        })
    }

    pub fn refused(&self, reason: &str, stream: &mut impl Counters) {
        stream.count_label(self.refused, reason);
    }

    /// A call begins to wait.
    pub fn queued(&self, pool: &str, stream: &mut impl Counters) {
        stream.raise(self.queued, pool);
    }

    /// A call no longer waits.
    pub fn left(&self, pool: &str, stream: &mut impl Counters) {
        stream.lower(self.queued, pool);
    }

    /// A call that waited has its turn.
    pub fn waited(&self, pool: &str, waited: Duration, stream: &mut impl Counters) {
        let milliseconds = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        stream.record_label(self.wait, pool, milliseconds);
    }
}
