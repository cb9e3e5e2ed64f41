//! The filter's metrics, which are Envoy's statistics in the scope of a cluster.

pub mod attempts;
pub mod gate;
pub mod transport_status;
