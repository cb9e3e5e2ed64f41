//! What is read of a REST call: its names and Milvus's code.

use crate::calls::Size;
use crate::host::body::{RequestBody, ResponseBody};
use crate::host::request::AccessLog;
use crate::milvus::question::Name;
use crate::milvus::rest::{Body, SUCCESS};
use crate::milvus::rest_path::rpc_of;

/// Reads one call while it passes.
#[derive(Debug)]
pub struct RestReading {
    pub rpc: &'static str,
    header_database: Name,
    request: Body,
    response: Body,
}

impl RestReading {
    /// Begins with the `:path` of a request, and the database in its headers, which may be empty.
    pub fn new(path: &[u8], database: &[u8]) -> Self {
        let (mut request, mut header_database) = (Body::default(), Name::default());
        request.read_query(path);
        header_database.push(database, true);
        Self { rpc: rpc_of(path), header_database, request, response: Body::default() }
    }

    pub fn on_request_body(&mut self, stream: &impl RequestBody) {
        stream.read_request_body(|piece| self.request.push(piece));
    }

    pub fn on_response_body(&mut self, stream: &impl ResponseBody) {
        stream.read_response_body(|piece| self.response.push(piece));
    }

    /// Milvus's code, 0 for success; None while it is not known.
    pub fn code(&self) -> Option<u64> {
        let code = self.response.code?;
        Some(if SUCCESS.contains(&code) { 0 } else { code })
    }

    /// The database: that of the body, else of the header, else the default one if the request names a collection.
    pub fn database(&self) -> &[u8] {
        let mut named = self.request.database.bytes();
        if named.is_empty() {
            named = self.header_database.bytes();
        }
        if named.is_empty() && !self.collection().is_empty() {
            return b"default";
        }
        named
    }

    pub fn collection(&self) -> &[u8] {
        self.request.collection.bytes()
    }

    /// Notes the names and Milvus's code.
    pub fn note(&self, log: &mut impl AccessLog) {
        for (key, name) in [("database", self.database()), ("collection", self.collection())] {
            if !name.is_empty() {
                log.note_text(key, &String::from_utf8_lossy(name));
            }
        }
        if let Some(code) = self.code() {
            log.note_number("code", code);
        }
    }

    /// The size of the bodies. How many rows there are is not read.
    pub fn size(&self) -> Size {
        Size { rows: 0, request_bytes: self.request.bytes, response_bytes: self.response.bytes }
    }
}
