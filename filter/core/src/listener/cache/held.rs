//! A request that is held until it has arrived completely.

use crate::cache::reason::Reason;
use crate::host::body::RequestBody;

/// The longest request that is held, in bytes. It must be less than the buffer of a connection (1 MiB), past which Envoy
/// stops reading.
pub const MAX_REQUEST: u64 = 512 << 10;
/// gRPC's bytes in front of a message: a flag and a length.
pub const PREFIX: usize = 5;

/// What has arrived of a request with one message.
#[derive(Debug, Default)]
pub struct Held {
    prefix: [u8; PREFIX],
    arrived: u64,
}

impl Held {
    /// Looks at what the running body hook received, which is not the last of the request. An error says why the cache has
    /// nothing to do with the request.
    pub fn read(&mut self, stream: &impl RequestBody) -> Result<(), Reason> {
        stream.read_request_body(|piece| {
            let begun = (self.arrived as usize).min(PREFIX);
            let part = piece.len().min(PREFIX - begun);
            self.prefix[begun..begun + part].copy_from_slice(&piece[..part]);
            self.arrived += piece.len() as u64;
        });
        if self.arrived < PREFIX as u64 {
            return Ok(());
        }
        let [flag, length @ ..] = self.prefix;
        let announced = u64::from(u32::from_be_bytes(length)) + PREFIX as u64;
        match flag {
            0 if announced > MAX_REQUEST => Err(Reason::TooLarge),
            0 if self.arrived > announced => Err(Reason::Unreadable),
            0 => Ok(()),
            1 => Err(Reason::Compressed),
            _ => Err(Reason::Unreadable),
        }
    }

    /// Everything that has arrived of a request that ends in the running hook. Nearly always nothing of it is held, and Envoy
    /// is not asked for that.
    pub fn all(&self, stream: &impl RequestBody) -> Vec<u8> {
        if self.arrived > 0 {
            return all(stream);
        }
        let mut bytes = Vec::new();
        stream.read_request_body(|piece| bytes.extend_from_slice(piece));
        bytes
    }
}

/// Everything that has arrived. Before the last hook Envoy moves to what it holds what that hook received, if it holds
/// something already.
pub fn all(stream: &impl RequestBody) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_held_request_body(|piece| bytes.extend_from_slice(piece));
    stream.read_request_body(|piece| bytes.extend_from_slice(piece));
    bytes
}

/// Appends fields to a message with its prefix.
pub fn append(frame: &mut Vec<u8>, fields: &[u8]) {
    frame.extend_from_slice(fields);
    let length = u32::try_from(frame.len() - PREFIX).unwrap_or(u32::MAX);
    frame[1..PREFIX].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeStream;

    fn received(bytes: &[u8]) -> FakeStream {
        FakeStream { received: bytes.to_vec(), ..FakeStream::default() }
    }

    #[test]
    fn the_prefix_says_whether_to_go_on() {
        for (bytes, expected) in [
            (&[0, 0, 0][..], Ok(())),
            (&[0, 0, 8, 0, 0], Err(Reason::TooLarge)),
            (&[0, 0, 7, 0xff, 0xfb, 1], Ok(())),
            (&[0, 0, 7, 0xff, 0xfc, 1], Err(Reason::TooLarge)),
            (&[0, 0, 0, 0, 2, 1, 2], Ok(())),
            (&[0, 0, 0, 0, 2, 1, 2, 3], Err(Reason::Unreadable)),
            (&[1, 0, 0, 0, 2], Err(Reason::Compressed)),
            (&[2, 0, 0, 0, 2], Err(Reason::Unreadable)),
        ] {
            assert_eq!(expected, Held::default().read(&received(bytes)), "{bytes:?}");
            let mut held = Held::default();
            let all: Result<Vec<()>, _> =
                bytes.iter().map(|byte| held.read(&received(&[*byte]))).collect();
            assert_eq!(expected, all.map(|_| ()), "{bytes:?} one by one");
        }
    }

    #[test]
    fn everything_that_has_arrived_is_held_or_received() {
        for held in 0..=4 {
            let mut stream = received(&[1, 2, 3, 4][held..]);
            stream.held = [1, 2, 3, 4][..held].to_vec();

            assert_eq!([1, 2, 3, 4], all(&stream)[..]);
        }
    }

    #[test]
    fn appended_fields_are_part_of_the_message() {
        let mut frame = vec![0, 0, 0, 0, 1, 7];

        append(&mut frame, &[9; 300]);

        assert_eq!((306, [0, 0, 0, 1, 45]), (frame.len(), frame[..5].try_into().unwrap()));
    }
}
