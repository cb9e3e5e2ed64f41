//! The answer to a fill, copied while it passes.

use crate::cache::pool::Reserved;
use crate::cache::question::message_of;
use crate::cache::reason::Reason;
use crate::host::body::ResponseBody;
use crate::host::response::Response;
use crate::listener::cache::held::PREFIX;
use crate::milvus::milvus_status::code;
use crate::milvus::rpc::MilvusStatusLocation;

/// Errors of a read itself (merr): collection or partition not found or not loaded, index, database or field not found, wrong or
/// missing parameters, not authenticated or permitted. The next one that asks the same gets them too; of others, a deadline
/// for example, that is not known.
const DEFINITE: [u64; 11] = [100, 101, 200, 201, 700, 800, 1100, 1101, 1400, 1401, 1700];

/// What has passed of an answer.
#[derive(Debug)]
pub struct Answer {
    bytes: Vec<u8>,
    /// The longest message that is copied.
    most: usize,
    status: MilvusStatusLocation,
    /// The length that the prefix announces, prefix included, and the memory for it.
    announced: Option<(usize, Reserved)>,
}

impl Answer {
    /// An answer with a message of at most `most` bytes, with its status at `status`.
    pub fn new(most: usize, status: MilvusStatusLocation) -> Self {
        Self { bytes: Vec::new(), most, status, announced: None }
    }

    /// Copies what the running body hook received. `reserve` reserves memory for so many bytes. An error says why the
    /// answer cannot be kept.
    pub fn push(
        &mut self,
        stream: &impl ResponseBody,
        reserve: impl Fn(u64) -> Option<Reserved>,
    ) -> Result<(), Reason> {
        let mut pushed = Ok(());
        stream.read_response_body(|piece| {
            if pushed.is_ok() {
                pushed = self.copy(piece, &reserve);
            }
        });
        pushed
    }

    fn copy(
        &mut self,
        piece: &[u8],
        reserve: impl Fn(u64) -> Option<Reserved>,
    ) -> Result<(), Reason> {
        let missing = PREFIX.saturating_sub(self.bytes.len());
        let (start, rest) = piece.split_at(piece.len().min(missing));
        self.bytes.extend_from_slice(start);
        let Some([_, length @ ..]) = self.bytes.first_chunk::<PREFIX>() else { return Ok(()) };
        let length = u32::from_be_bytes(*length);
        let end = match &self.announced {
            Some((end, _)) => *end,
            None if length as usize > self.most => return Err(Reason::TooLarge),
            None => {
                let reserved = reserve(u64::from(length)).ok_or(Reason::Parked)?;
                let end = PREFIX + length as usize;
                self.announced = Some((end, reserved));
                end
            }
        };
        // One byte more shows that the message is not the only one.
        let room = (end + 1).saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&rest[..rest.len().min(room)]);
        Ok(())
    }

    /// The answer, if it is one message and Milvus's status is success, whatever the trailers say. An error says why each
    /// answer to the same read is as bad, if it is known.
    pub fn success(self) -> Result<Vec<u8>, Option<Reason>> {
        message_of(&self.bytes).map_err(|_| None)?;
        match code(&self.bytes, self.status) {
            Some(0) => Ok(self.bytes),
            Some(code) if DEFINITE.contains(&code) => Err(Some(Reason::Failed)),
            _ => Err(None),
        }
    }
}

/// Whether the headers of an answer say that a message follows as it is. An error says why not, if each answer to the same
/// read will be like this. The endpoint's filter adds `grpc-status` to the headers of an endpoint that is not ready.
pub fn begins_well(stream: &impl Response) -> Result<(), Option<Reason>> {
    let content_type = stream.response_header("content-type").unwrap_or_default();
    let is_good = stream.response_header(":status") == Some(b"200")
        && content_type.starts_with(b"application/grpc")
        && stream.response_header("grpc-status").is_none();
    if !is_good {
        return Err(None);
    }
    match stream.response_header("grpc-encoding") {
        None | Some(b"identity") => Ok(()),
        Some(_) => Err(Some(Reason::Compressed)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::cache::pool::{Pool, PoolTerms};
    use crate::host::fake::{headers, FakeStream};

    const GOOD: &[u8] = &[0, 0, 0, 0, 4, 0x0a, 0, 0x12, 0]; // {status: {}, results: {}}

    /// The pool has room for answers of ten bytes.
    fn copied(most: usize, pieces: &[&[u8]]) -> Result<Vec<u8>, Option<Reason>> {
        let pool = Arc::new(Pool::default());
        pool.configure(PoolTerms { bound: Duration::from_secs(5), memory: 40 }, 0);
        let mut answer = Answer::new(most, MilvusStatusLocation::Field(1));
        for piece in pieces {
            let stream = FakeStream { received: piece.to_vec(), ..FakeStream::default() };
            answer.push(&stream, |bytes| pool.reserve(bytes)).map_err(Some)?;
        }
        answer.success()
    }

    #[test]
    fn an_answer_is_copied_in_whatever_pieces_it_comes() {
        for at in 0..=GOOD.len() {
            let (start, rest) = GOOD.split_at(at);
            assert_eq!(Ok(GOOD.to_vec()), copied(4, &[start, rest]));
        }
    }

    #[test]
    fn what_is_too_large_is_not_copied() {
        assert_eq!(Err(Some(Reason::TooLarge)), copied(3, &[GOOD]));
        assert_eq!(Err(Some(Reason::TooLarge)), copied(3, &[&GOOD[..5]]));
        // Only the prefix has come.
        assert_eq!(Err(Some(Reason::Parked)), copied(100, &[&[0, 0, 0, 0, 11]]));
    }

    #[test]
    fn memory_is_reserved_until_the_answer_is_kept_or_given_up() {
        let pool = Arc::new(Pool::default());
        pool.configure(PoolTerms { bound: Duration::from_secs(5), memory: 40 }, 0);
        let push = |bytes: &[u8]| {
            let mut answer = Answer::new(100, MilvusStatusLocation::Field(1));
            let stream = FakeStream { received: bytes.to_vec(), ..FakeStream::default() };
            answer.push(&stream, |bytes| pool.reserve(bytes)).map(|()| answer)
        };
        let first = push(&[0, 0, 0, 0, 6]);
        assert!(first.is_ok());
        assert_eq!(Err(Reason::Parked), push(&[0, 0, 0, 0, 5]).map(|_| ()));
        assert!(push(&[0, 0, 0, 0, 4]).is_ok());
        drop(first);
        assert!(push(&[0, 0, 0, 0, 10]).is_ok());
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
            assert_eq!(Err(None), copied(100, &[bytes]), "{bytes:?}");
        }
        let not_loaded = [0, 0, 0, 0, 4, 0x0a, 2, 0x18, 101];
        assert_eq!(Err(Some(Reason::Failed)), copied(100, &[&not_loaded]));
    }

    #[test]
    fn the_headers_of_a_good_answer() {
        const STATUS: (&str, &str) = (":status", "200");
        const TYPE: (&str, &str) = ("content-type", "application/grpc");
        for (response, expected) in [
            (&[STATUS, TYPE][..], Ok(())),
            (&[STATUS, ("content-type", "application/grpc+proto")], Ok(())),
            (&[STATUS, TYPE, ("grpc-encoding", "identity")], Ok(())),
            (&[STATUS, TYPE, ("grpc-encoding", "gzip")], Err(Some(Reason::Compressed))),
            (&[STATUS, TYPE, ("grpc-status", "14")], Err(None)),
            (&[STATUS, ("content-type", "text/html")], Err(None)),
            (&[(":status", "503"), TYPE], Err(None)),
        ] {
            let stream = FakeStream { response: headers(response), ..FakeStream::default() };
            assert_eq!(expected, begins_well(&stream), "{response:?}");
        }
    }
}
