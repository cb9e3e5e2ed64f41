//! What the filter learns from answers of Milvus: facts about a collection, and timestamps.

use crate::cache::question::level::level_of;
use crate::cache::question::pairs::Pair;
use crate::cache::read::Facts;
use crate::wire::records::{Malformed, Records, Value};

/// The answer is an error, or cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotGood;

impl From<Malformed> for NotGood {
    fn from(_: Malformed) -> Self {
        Self
    }
}

/// Reads a `DescribeCollectionResponse`: status (1), schema (2), consistency_level (11), properties (13).
pub fn described(message: &[u8]) -> Result<Facts, NotGood> {
    let (mut level, mut has_ttl, mut is_external) = (0, false, false);
    for record in Records::new(message) {
        let record = record?;
        match (record.number, record.value) {
            (1, Value::Bytes(status)) => check_status(status)?,
            (2, Value::Bytes(schema)) => {
                let schema = Schema::of(schema)?;
                has_ttl |= schema.has_ttl;
                is_external |= schema.is_external;
            }
            (11, Value::Varint(number)) => level = number,
            (13, Value::Bytes(property)) => has_ttl |= lets_rows_expire(property)?,
            _ => {}
        }
    }
    Ok(Facts { level: level_of(level).ok_or(NotGood)?, has_ttl, is_external })
}

/// Reads an `AllocTimestampResponse`: status (1), timestamp (2). The timestamp is a hybrid one.
pub fn allocated(message: &[u8]) -> Result<u64, NotGood> {
    let mut timestamp = 0;
    for record in Records::new(message) {
        let record = record?;
        match (record.number, record.value) {
            (1, Value::Bytes(status)) => check_status(status)?,
            (2, Value::Varint(number)) => timestamp = number,
            _ => {}
        }
    }
    if timestamp == 0 {
        return Err(NotGood);
    }
    Ok(timestamp)
}

/// A `common.Status`: error_code (1), code (3).
fn check_status(message: &[u8]) -> Result<(), NotGood> {
    for record in Records::new(message) {
        let record = record?;
        if let (1 | 3, Value::Varint(1..)) = (record.number, record.value) {
            return Err(NotGood);
        }
    }
    Ok(())
}

struct Schema {
    has_ttl: bool,
    is_external: bool,
}

impl Schema {
    /// A `schema.CollectionSchema`: properties (6), external_source (11), external_spec (12).
    fn of(message: &[u8]) -> Result<Self, Malformed> {
        let mut schema = Self { has_ttl: false, is_external: false };
        for record in Records::new(message) {
            let record = record?;
            match (record.number, record.value) {
                (6, Value::Bytes(property)) => schema.has_ttl |= lets_rows_expire(property)?,
                (11 | 12, Value::Bytes(text)) => schema.is_external |= !text.is_empty(),
                _ => {}
            }
        }
        Ok(schema)
    }
}

/// Rows expire some seconds after their write, or at the time in a field of theirs (Milvus: "Set Collection TTL"). 0 and -1
/// turn the seconds off.
fn lets_rows_expire(property: &[u8]) -> Result<bool, Malformed> {
    let pair = Pair::of(property)?;
    Ok(match pair.key {
        b"collection.ttl.seconds" => !matches!(pair.value, b"" | b"0" | b"-1"),
        b"ttl_field" => !pair.value.is_empty(),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::read::Level;
    use crate::wire::encode::{delimited, varint};

    // Answers of Milvus 2.3.5, in hexadecimal digits.
    const BOUNDED: &str =
        "0a00122b0a05706c61696e220a08641202696418012805221608651206766563746f72286532080a0364\
        696d120134189080e0c1cdb5a9c406222b62792d6465762d726f6f74636f6f72642d646d6c5f305f3437\
        3038303833323238343037323334373276302a1662792d6465762d726f6f74636f6f72642d646d6c5f30\
        308380f086d0b5a9c40638b780adcba234400158026205706c61696e720764656661756c747801";
    const WITH_TTL: &str =
        "0a0012290a0374746c220a08641202696418012805221608651206766563746f72286532080a0364696d\
        120134189880e0c1cdb5a9c406222b62792d6465762d726f6f74636f6f72642d646d6c5f325f34373038\
        303833323238343037323334383076302a1662792d6465762d726f6f74636f6f72642d646d6c5f323084\
        80809ad0b5a9c40638d081adcba23440015802620374746c6a1c0a16636f6c6c656374696f6e2e74746c\
        2e7365636f6e647312023630720764656661756c747801";
    const NO_SUCH_COLLECTION: &str =
        "0a90010801124f63616e27742066696e6420636f6c6c656374696f6e20636f6c6c656374696f6e206e6f\
        7420666f756e645b64617461626173653d64656661756c745d5b636f6c6c656374696f6e3d6e6f737563\
        685d18642a39636f6c6c656374696f6e206e6f7420666f756e645b64617461626173653d64656661756c\
        745d5b636f6c6c656374696f6e3d6e6f737563685d120062066e6f73756368720764656661756c74";
    const TIMESTAMP: &str = "0a00108380e09fd0b5a9c406";

    fn bytes(digits: &str) -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        (0..digits.len()).step_by(2).map(byte).collect()
    }

    #[test]
    fn answers_of_a_real_milvus_are_read() {
        let bounded = Facts { level: Level::Bounded, has_ttl: false, is_external: false };
        assert_eq!(Ok(bounded), described(&bytes(BOUNDED)));
        assert_eq!(Ok(Facts { has_ttl: true, ..bounded }), described(&bytes(WITH_TTL)));
        assert_eq!(Err(NotGood), described(&bytes(NO_SUCH_COLLECTION)));
        assert_eq!(Ok(470_808_323_574_726_659), allocated(&bytes(TIMESTAMP)));
    }

    fn property(number: u8, key: &str, value: &str) -> Vec<u8> {
        let pair = [delimited(1, key.as_bytes()), delimited(2, value.as_bytes())].concat();
        delimited(number, &pair)
    }

    fn facts(message: &[Vec<u8>]) -> Facts {
        described(&message.concat()).unwrap()
    }

    #[test]
    fn the_level_of_a_collection_is_its_default() {
        for (number, level) in [(0, Level::Strong), (2, Level::Bounded), (3, Level::Eventually)] {
            let facts = facts(&[delimited(1, b""), delimited(2, b""), varint(11, number)]);
            assert_eq!(Facts { level, has_ttl: false, is_external: false }, facts);
        }
        assert_eq!(Level::Strong, facts(&[]).level);
        assert_eq!(Err(NotGood), described(&varint(11, 5)));
    }

    #[test]
    fn rows_that_expire_are_noticed_in_both_places() {
        for (key, value, has_ttl) in [
            ("collection.ttl.seconds", "60", true),
            ("collection.ttl.seconds", "0", false),
            ("collection.ttl.seconds", "-1", false),
            ("collection.ttl.seconds", "a minute", true),
            ("ttl_field", "until", true),
            ("ttl_field", "", false),
            ("mmap.enabled", "true", false),
        ] {
            let last = property(13, "mmap.enabled", "false");
            assert_eq!(has_ttl, facts(&[property(13, key, value), last]).has_ttl, "{key} {value}");
            let schema = delimited(2, &property(6, key, value));
            assert_eq!(has_ttl, facts(&[schema]).has_ttl, "{key} {value}");
        }
    }

    #[test]
    fn an_external_collection_is_noticed() {
        assert!(facts(&[delimited(2, &delimited(11, b"s3://bucket"))]).is_external);
        assert!(facts(&[delimited(2, &delimited(12, b"{}"))]).is_external);
        assert!(!facts(&[delimited(2, &delimited(11, b""))]).is_external);
    }

    #[test]
    fn nothing_is_learned_from_an_error() {
        for status in [varint(1, 56), varint(3, 100), [varint(3, 1), varint(3, 0)].concat()] {
            let message = [delimited(1, &status), varint(2, 9)].concat();
            assert_eq!(Err(NotGood), allocated(&message));
            assert_eq!(Err(NotGood), described(&delimited(1, &status)));
        }
        assert_eq!(Err(NotGood), described(b"\x0a\x05"));
        assert_eq!(Err(NotGood), allocated(b"\x10"));
    }

    #[test]
    fn a_timestamp_is_read_and_0_is_none() {
        let good = delimited(1, &[varint(1, 0), varint(3, 0)].concat());

        assert_eq!(Ok(300), allocated(&[good.clone(), varint(2, 300)].concat()));
        assert_eq!(Err(NotGood), allocated(&good));
        assert_eq!(Err(NotGood), allocated(b""));
    }
}
