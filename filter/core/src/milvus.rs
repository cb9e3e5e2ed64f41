//! Milvus's API: its rpcs, and what its responses say.

pub mod answer;
pub mod call;
pub mod caller;
#[cfg(test)]
mod messages;
mod name;
mod query;
pub mod question;
pub mod rest;
pub mod rest_path;
pub mod rpc;
#[rustfmt::skip] // One rpc a line, however long.
mod rpc_table;
pub mod milvus_status;
