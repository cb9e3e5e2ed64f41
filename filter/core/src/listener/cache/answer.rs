//! The answer to a fill, copied while it passes.

use crate::cache::question::message_of;
use crate::host::body::ResponseBody;
use crate::host::response::Response;
use crate::listener::cache::held::PREFIX;
use crate::milvus::milvus_status::code;
use crate::milvus::rpc::MilvusStatusLocation;

/// What has passed of an answer.
#[derive(Debug)]
pub struct Answer {
    bytes: Vec<u8>,
    /// The most bytes that are copied.
    most: usize,
    status: MilvusStatusLocation,
}

impl Answer {
    /// An answer of at most `most` bytes, with its status at `status`.
    pub fn new(most: usize, status: MilvusStatusLocation) -> Self {
        Self { bytes: Vec::new(), most: most.saturating_add(PREFIX), status }
    }

    /// Copies what the running body hook received. False: it is too large.
    pub fn push(&mut self, stream: &impl ResponseBody) -> bool {
        let most = self.most;
        let mut fits = true;
        stream.read_response_body(|piece| {
            fits = fits && self.bytes.len() + piece.len() <= most;
            if fits {
                self.bytes.extend_from_slice(piece);
            }
        });
        fits
    }

    /// The answer, if it is one message and Milvus's status is success, whatever the trailers say.
    pub fn success(self) -> Option<Vec<u8>> {
        message_of(&self.bytes).ok()?;
        (code(&self.bytes, self.status) == Some(0)).then_some(self.bytes)
    }
}

/// Whether the headers of an answer say that a message follows as it is. The endpoint's filter adds `grpc-status` to the
/// headers of an endpoint that is not ready.
pub fn begins_well(stream: &impl Response) -> bool {
    let content_type = stream.response_header("content-type").unwrap_or_default();
    stream.response_header(":status") == Some(b"200")
        && content_type.starts_with(b"application/grpc")
        && matches!(stream.response_header("grpc-encoding"), None | Some(b"identity"))
        && stream.response_header("grpc-status").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::{headers, FakeStream};

    const GOOD: &[u8] = &[0, 0, 0, 0, 4, 0x0a, 0, 0x12, 0]; // {status: {}, results: {}}

    fn copied(most: usize, pieces: &[&[u8]]) -> (bool, Option<Vec<u8>>) {
        let mut answer = Answer::new(most, MilvusStatusLocation::Field(1));
        let fits = pieces.iter().all(|piece| {
            answer.push(&FakeStream { received: piece.to_vec(), ..FakeStream::default() })
        });
        (fits, answer.success())
    }

    #[test]
    fn an_answer_is_copied_in_whatever_pieces_it_comes() {
        for at in 0..=GOOD.len() {
            let (start, rest) = GOOD.split_at(at);
            assert_eq!((true, Some(GOOD.to_vec())), copied(4, &[start, rest]));
        }
    }

    #[test]
    fn what_is_too_large_is_not_copied() {
        assert_eq!((false, None), copied(3, &[GOOD]));
        assert_eq!((false, None), copied(3, &[&GOOD[..8], &GOOD[8..]]));
    }

    #[test]
    fn an_answer_that_is_not_wholly_good_is_none() {
        for bytes in [
            &[][..],
            &[0, 0, 0, 0],
            &GOOD[..8],
            &[GOOD, GOOD].concat(),
            &[1, 0, 0, 0, 2, 0x0a, 0],
            &[0, 0, 0, 0, 4, 0x0a, 2, 0x18, 1],       // code 1
            &[0, 0, 0, 0, 4, 0x0a, 2, 0x08, 1],       // error_code 1
            &[0, 0, 0, 0, 6, 0x0a, 4, 0x08, 1, 0x18], // cut
        ] {
            assert_eq!(None, copied(100, &[bytes]).1, "{bytes:?}");
        }
    }

    #[test]
    fn the_headers_of_a_good_answer() {
        const STATUS: (&str, &str) = (":status", "200");
        const TYPE: (&str, &str) = ("content-type", "application/grpc");
        for (response, expected) in [
            (&[STATUS, TYPE][..], true),
            (&[STATUS, ("content-type", "application/grpc+proto")], true),
            (&[STATUS, TYPE, ("grpc-encoding", "identity")], true),
            (&[STATUS, TYPE, ("grpc-encoding", "gzip")], false),
            (&[STATUS, TYPE, ("grpc-status", "14")], false),
            (&[STATUS, ("content-type", "text/html")], false),
            (&[(":status", "503"), TYPE], false),
        ] {
            let stream = FakeStream { response: headers(response), ..FakeStream::default() };
            assert_eq!(expected, begins_well(&stream), "{response:?}");
        }
    }
}
