//! Which calls are passed on, and when. Nothing here knows Envoy or Milvus's messages.

mod bucket;
mod cost;
mod gradient;
pub mod key;
pub mod known;
mod lane;
pub mod limits;
pub mod pool;
mod queue;
pub mod store;
mod strain;

pub use cost::Class;
