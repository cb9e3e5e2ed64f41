//! Kiteway's Envoy HTTP filter, loaded as a dynamic module.
//!
//! This crate is Envoy's ABI and nothing else, and has all of the filter's unsafe code. What the filter does is decided
//! in `kiteway_filter_core`.

mod buffers;
mod callbacks;
mod clock;
mod hooks;
mod registry;
mod sha256;
mod stream;
