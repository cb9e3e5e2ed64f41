//! What the filter itself answers: a client's first call on a route that leads nowhere.
//!
//! PyMilvus drops the text of a gRPC error to `Connect`, its first call, and says "illegal connection params". An
//! answer of Milvus's own shape keeps its text: gRPC OK with a `common.Status` that says what is wrong.

#![forbid(unsafe_code)]

use crate::filter::Stream;
use crate::rpc::Call;

/// Bytes of a client's host name or path that are said back to it.
const ECHO: usize = 255;
/// `ErrorCode.UnexpectedError`, for SDKs that look at the old field.
const ERROR_CODE: u8 = 1;
/// merr's code for what has no code of its own.
const CODE: u32 = 65_535;

/// The sentence of a route; `{host}` and `{path}` stand for the request's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteAnswer {
    text: String,
}

impl RouteAnswer {
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned() }
    }

    /// The framed message for a call that this route answers here; None for every other call.
    pub fn message(&self, stream: &impl Stream) -> Option<Vec<u8>> {
        if Call::of_grpc(stream).label() != "Connect" {
            return None;
        }
        let text = self
            .text
            .replace("{host}", &echo(stream.request_header(":authority")))
            .replace("{path}", &echo(stream.request_header(":path")));
        Some(frame(&field(1, &status(&text))))
    }
}

/// What a client sent, made harmless: bounded, and printable ASCII only.
fn echo(value: Option<&[u8]>) -> String {
    let value = value.unwrap_or_default();
    let bytes = value.iter().take(ECHO);
    bytes.map(|&byte| if byte.is_ascii_graphic() { byte as char } else { '?' }).collect()
}

/// A `common.Status`: error_code = 1, reason = 2, code = 3.
fn status(reason: &str) -> Vec<u8> {
    let mut message = vec![0x08, ERROR_CODE];
    message.extend(field(2, reason.as_bytes()));
    message.push(0x18);
    varint(&mut message, CODE);
    message
}

/// A length-delimited field with a number below 16.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    varint(&mut field, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    field.extend_from_slice(bytes);
    field
}

fn varint(into: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        into.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut framed = vec![0];
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{grpc_request, FakeStream};

    fn said(text: &str, stream: &FakeStream) -> Option<Vec<u8>> {
        RouteAnswer::new(text).message(stream)
    }

    #[test]
    fn connect_is_answered_with_a_status_that_says_why() {
        let mut stream = grpc_request("Connect");
        stream.request.push((":authority".to_owned(), "a.b".to_owned()));

        let message = said("no {host}", &stream).unwrap();

        let status = [0x08, 1, 0x12, 6, b'n', b'o', b' ', b'a', b'.', b'b', 0x18, 0xff, 0xff, 3];
        assert_eq!([&[0, 0, 0, 0, 16, 0x0a, 14][..], &status[..]].concat(), message);
    }

    #[test]
    fn a_long_sentence_has_a_long_length() {
        let message = said(&"x".repeat(300), &grpc_request("Connect")).unwrap();

        let length = u32::from_be_bytes(message[1..5].try_into().unwrap()) as usize;
        assert_eq!(message.len() - 5, length);
        assert_eq!([0x12, 0xac, 2], message[10..13]);
    }

    #[test]
    fn every_other_call_is_left_to_the_route() {
        for method in ["Search", "Insert", "ConnectX"] {
            assert_eq!(None, said("x", &grpc_request(method)), "{method}");
        }
    }

    #[test]
    fn what_a_client_sent_is_said_back_harmless() {
        let mut stream = grpc_request("Connect");
        let host = format!("a\n\u{e9}{}", "h".repeat(400));
        stream.request.push((":authority".to_owned(), host));

        let message = said("{host}", &stream).unwrap();

        let text = String::from_utf8_lossy(&message).into_owned();
        assert!(text.contains("a???hhh"), "{text}");
        assert_eq!(ECHO - 4, text.matches('h').count());
    }
}
