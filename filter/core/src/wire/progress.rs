//! How far a message has been read.

/// How far a message has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are to come.
    Reading,
    /// The message was read to its end. Later bytes are ignored.
    Complete,
    /// The message is compressed, so none of its fields were read.
    Compressed,
    /// The bytes are not protobuf; the sink has got the fields before.
    Malformed,
}
