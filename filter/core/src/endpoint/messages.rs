//! What has been read of a call, whichever API it is of.

use crate::calls::Size;
use crate::endpoint::rest_reading::RestReading;
use crate::milvus::rpc::proves_existence;
use crate::reading::Reading;

/// What has been read of a call.
#[derive(Debug)]
pub enum Messages {
    /// Nothing: it is not in the catalogue, or calls are not read.
    Unread,
    Grpc(Box<Reading>),
    Rest(Box<RestReading>),
}

impl Messages {
    /// The name of the rpc, if it is not that of the catalogue.
    pub fn rest_rpc(&self) -> Option<&'static str> {
        match self {
            Self::Rest(reading) => Some(reading.rpc),
            Self::Unread | Self::Grpc(_) => None,
        }
    }

    /// Milvus's code, 0 for success; None while it is not known.
    pub fn code(&self) -> Option<u64> {
        match self {
            Self::Unread => None,
            Self::Grpc(reading) => reading.code(),
            Self::Rest(reading) => reading.code(),
        }
    }

    /// The database, and the collection; empty where there is none.
    pub fn names(&self) -> (&[u8], &[u8]) {
        match self {
            Self::Unread => (b"", b""),
            Self::Grpc(reading) => reading.names(),
            Self::Rest(reading) => (reading.database(), reading.collection()),
        }
    }

    /// Whether success of the call shows that what it names exists.
    pub fn vouch(&self) -> bool {
        match self {
            Self::Unread => false,
            Self::Grpc(reading) => proves_existence(reading.rpc().name, reading.names().1),
            Self::Rest(reading) => {
                proves_existence(reading.rpc, reading.collection()) && reading.code() == Some(0)
            }
        }
    }

    pub fn size(&self) -> Size {
        match self {
            Self::Unread => Size::default(),
            Self::Grpc(reading) => reading.size(),
            Self::Rest(reading) => reading.size(),
        }
    }
}
