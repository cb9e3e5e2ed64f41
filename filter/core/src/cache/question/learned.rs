//! What the filter learns from answers of Milvus: facts about a collection, and timestamps.

use crate::cache::question::level::level_of;
use crate::cache::question::pairs::Pair;
use crate::cache::read::Facts;
use crate::wire::records::{Malformed, Records, Value};

/// The answer says an error, or it is not an answer.
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
