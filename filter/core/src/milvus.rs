//! Milvus's API: its rpcs, and what its responses say.

pub mod call;
pub mod rpc;
#[rustfmt::skip] // One rpc a line, however long.
mod rpc_table;
pub mod statuses;
