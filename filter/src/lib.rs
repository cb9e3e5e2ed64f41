//! Kiteway's Envoy HTTP filter, loaded as a dynamic module.
//!
//! `filter` decides, in safe Rust behind the trait `Stream`; `abi` is the only room that touches
//! Envoy and the only one with `unsafe` in it. docs/design/filter.md says why.

#![deny(unsafe_code)]

// The callbacks exist only inside Envoy, so a test binary is linked without them.
#[cfg(not(test))]
mod abi;
mod answer;
mod chance;
mod config;
mod downstream;
#[cfg(test)]
mod fake;
mod filter;
mod grpc;
mod in_band;
mod metrics;
mod outcome;
mod protobuf;
mod route;
mod rpc;
#[rustfmt::skip] // One call a line, however long.
mod rpc_table;
mod status;
mod upstream;
