//! gRPC's framing: each message follows five bytes, a compression flag and its length.

use crate::wire::protobuf::Message;

const PREFIX: usize = 5;

/// The first message of a stream of which only `bytes` have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First<'a> {
    /// Its prefix has not arrived whole.
    Unknown,
    /// It is compressed, so it cannot be read here.
    Compressed,
    Plain(Message<'a>),
}

/// Looks at the first message of a stream.
pub fn first_message(bytes: &[u8]) -> First<'_> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX>() else { return First::Unknown };
    let [flag, length @ ..] = *prefix;
    if flag != 0 {
        return First::Compressed;
    }
    First::Plain(Message::new(rest, u32::from_be_bytes(length) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_read_once_it_is_whole() {
        let bytes = [0, 0, 0, 1, 2, b'a', b'b'];

        for arrived in 0..PREFIX {
            assert_eq!(First::Unknown, first_message(&bytes[..arrived]));
        }
        assert_eq!(First::Plain(Message::new(b"ab", 258)), first_message(&bytes));
        assert_eq!(First::Plain(Message::new(b"", 258)), first_message(&bytes[..PREFIX]));
    }

    #[test]
    fn the_next_message_is_not_part_of_the_first() {
        assert_eq!(
            First::Plain(Message::new(b"a", 1)),
            first_message(&[0, 0, 0, 0, 1, b'a', 0, 0, 0, 0, 1])
        );
    }

    #[test]
    fn a_compressed_message_is_not_looked_into() {
        assert_eq!(First::Compressed, first_message(&[1, 0, 0, 0, 2, 0x1f, 0x8b]));
    }
}
