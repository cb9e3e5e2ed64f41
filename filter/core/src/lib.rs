//! What Kiteway's Envoy HTTP filter decides.
//!
//! Nothing here knows Envoy: `host` declares what the filter needs of it, the crate `kiteway_filter` implements that.
//! docs/design/filter.md has the picture; tools/check_filter_layers.py checks which module may use which.

#![forbid(unsafe_code)]

mod admission;
mod alarm;
mod cache;
mod calls;
mod config;
mod endpoint;
mod filter;
mod hedge;
pub mod host;
mod listener;
mod mark;
mod metrics;
mod milvus;
mod noting;
mod reading;
mod wire;

pub use cache::planted;
pub use config::Config;
pub use filter::{Factory, Filter, Stream};
pub use listener::RouteConfig;

/// What is needed to compute SHA-256 with the processor's instructions.
pub mod sha256 {
    pub use crate::cache::question::sha256::{accelerate, K};
}
