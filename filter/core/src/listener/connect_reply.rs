//! The filter's reply to `Connect`, a client's first call, on a route that leads nowhere.
//!
//! PyMilvus drops the text of a gRPC error to `Connect` and says "illegal connection params". It shows the text of a
//! Milvus error: the gRPC status OK, and a message with a `common.Status` that says what is wrong.

use crate::host::request::Request;
use crate::milvus::call::Call;
use crate::wire::encode::{delimited, framed, varint};

/// The most bytes of the client's host name or path that the reply repeats.
const ECHO: usize = 255;
/// `ErrorCode.UnexpectedError`, for SDKs that look at the old field.
const ERROR_CODE: u32 = 1;
/// merr's code for an error that has no code.
const CODE: u32 = 65_535;

/// The sentence of a route; `{host}` and `{path}` stand for those of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectReply {
    text: String,
}

impl ConnectReply {
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned() }
    }

    /// The framed message for `Connect`; None for every other call.
    pub fn message(&self, stream: &impl Request) -> Option<Vec<u8>> {
        if Call::of_grpc(stream.request_header(":path")).label() != "Connect" {
            return None;
        }
        let text = self
            .text
            .replace("{host}", &echo(stream.request_header(":authority")))
            .replace("{path}", &echo(stream.request_header(":path")));
        Some(framed(&delimited(1, &status(&text))))
    }
}

/// A client's text, bounded and with nothing but printable ASCII.
fn echo(value: Option<&[u8]>) -> String {
    let value = value.unwrap_or_default();
    let bytes = value.iter().take(ECHO);
    bytes.map(|&byte| if byte.is_ascii_graphic() { byte as char } else { '?' }).collect()
}

/// A `common.Status`: error_code = 1, reason = 2, code = 3.
fn status(reason: &str) -> Vec<u8> {
    [varint(1, ERROR_CODE), delimited(2, reason.as_bytes()), varint(3, CODE)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::{grpc_request, FakeStream};

    fn message(text: &str, stream: &FakeStream) -> Option<Vec<u8>> {
        ConnectReply::new(text).message(stream)
    }

    #[test]
    fn connect_is_answered_with_a_status_that_says_why() {
        let mut stream = grpc_request("Connect");
        stream.request.push((":authority".to_owned(), "a.b".to_owned()));

        let message = message("no {host}", &stream).unwrap();

        let status = [0x08, 1, 0x12, 6, b'n', b'o', b' ', b'a', b'.', b'b', 0x18, 0xff, 0xff, 3];
        assert_eq!([&[0, 0, 0, 0, 16, 0x0a, 14][..], &status[..]].concat(), message);
    }

    #[test]
    fn a_long_sentence_has_a_long_length() {
        let message = message(&"x".repeat(300), &grpc_request("Connect")).unwrap();

        let length = u32::from_be_bytes(message[1..5].try_into().unwrap()) as usize;
        assert_eq!(message.len() - 5, length);
        assert_eq!([0x12, 0xac, 2], message[10..13]);
    }

    #[test]
    fn no_other_call_gets_the_reply() {
        for method in ["Search", "Insert", "ConnectX"] {
            assert_eq!(None, message("x", &grpc_request(method)), "{method}");
        }
    }

    #[test]
    fn a_repeated_text_is_bounded_and_printable() {
        let mut stream = grpc_request("Connect");
        let host = format!("a\n\u{e9}{}", "h".repeat(400));
        stream.request.push((":authority".to_owned(), host));

        let message = message("{host}", &stream).unwrap();

        let text = String::from_utf8_lossy(&message).into_owned();
        assert!(text.contains("a???hhh"), "{text}");
        assert_eq!(ECHO - 4, text.matches('h').count());
    }
}
