//! The filter in a listener. It sees a request of a client once, and only on routes that turn it on: on all others it
//! would cost a call as much as retries do.

mod asked;
mod cache;
mod connect_reply;
mod gate;
mod hooks;
mod passage;
mod policy;
mod refusal;
mod route;
mod rules;
mod sampling;
mod server_name;
mod settings;
mod stream;

pub use route::RouteConfig;
pub use settings::Settings;
pub use stream::Listener;
