//! The filter's metrics, as Envoy's own stats.

#![forbid(unsafe_code)]

/// Calls of clients, by rpc: `<namespace>.requests_total.rpc.<rpc>` in Envoy's stats.
///
/// A counter each, defined with the configuration: to look up a labelled one costs a call as much as all the rest of the
/// filter. The bootstrap's `stats_tags` make the same label of the name.
pub const REQUESTS: &str = "requests_total.rpc";

/// Attempts whose endpoint answered "not ready", by rpc.
pub const NOT_READY: &str = "not_ready_total";

/// Its label; the values are those of `Call::label`, so there are never more of them than calls in
/// the catalogue, plus two.
pub const RPC_LABEL: &str = "rpc";

/// A counter Envoy knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterId(pub usize);

/// What can make counters: Envoy, while it reads the filter's configuration and never later.
pub trait Registry {
    /// Defines a counter, or says why that cannot be done.
    fn define_counter(&mut self, name: &str) -> Result<CounterId, String>;

    /// Defines a counter with one label, for what is rare.
    fn define_labelled_counter(&mut self, name: &str, label: &str) -> Result<CounterId, String>;
}
