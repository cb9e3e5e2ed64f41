//! The filter in a listener. It sees a request of a client once, and only on routes that turn it on: on all others it
//! would cost a call as much as retries do.

mod connect_reply;
pub mod hooks;
mod policy;
mod route;
mod sampling;

pub use policy::{Admission, Applies, By, Limit, Policy, Reads};
pub use route::RouteConfig;
