//! The formats on the wire: gRPC's framing and protobuf.

pub mod base64;
pub mod encode;
#[cfg(test)]
pub mod fuzz;
pub mod grpc;
pub mod json;
mod progress;
pub mod protobuf;
pub mod records;
pub mod schema;
pub mod stream;
pub mod text;
pub mod traceparent;
mod varint;
pub mod write_json;
