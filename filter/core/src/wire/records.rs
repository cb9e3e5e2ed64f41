//! A strict reader of a whole protobuf message.
//!
//! `protobuf.rs` reads what has arrived and is lenient where protobuf's implementations are. A message that is changed or
//! compared needs the opposite: every implementation must read it alike, to its last byte.

/// A field with its bytes on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// 1 to 2^29 - 1.
    pub number: u32,
    pub value: Value<'a>,
    /// The tag and the value, as they were sent.
    pub bytes: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Varint(u64),
    /// A string, bytes or a nested message.
    Bytes(&'a [u8]),
    /// A 32- or 64-bit number.
    Fixed,
}

/// The message is cut, has a group, or a number out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The fields of a message, in the order in which they were sent. After an error there are no more.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    #[inline]
    fn record(&mut self) -> Result<Record<'a>, Malformed> {
        let start = self.rest;
        let tag = u32::try_from(self.varint()?).map_err(|_| Malformed)?;
        let number = tag >> 3;
        if number == 0 {
            return Err(Malformed);
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(Malformed), // proto3 has no groups
        };
        Ok(Record { number, value, bytes: &start[..start.len() - self.rest.len()] })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A number below 2^64 in at most ten bytes. Go refuses a larger one, C++ cuts it.
    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        if let [byte @ ..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for (index, &byte) in self.rest.iter().enumerate().take(10) {
            if index == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.record();
        if record.is_err() {
            self.rest = &[];
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_the_message_and_nothing_is_left_out() {
        let bytes = [
            0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1d, 0, 0, 0, 0, 0x21, 0, 0, 0, 0, 0, 0, 0, 0,
            0xf8, 0xff, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        ];
        let records: Vec<Record> = Records::new(&bytes).map(Result::unwrap).collect();

        let read: Vec<_> = records.iter().map(|record| (record.number, record.value)).collect();
        assert_eq!(
            vec![
                (1, Value::Varint(150)),
                (2, Value::Bytes(b"hi")),
                (3, Value::Fixed),
                (4, Value::Fixed),
                ((1 << 29) - 1, Value::Varint(u64::MAX)),
            ],
            read
        );
        assert_eq!(
            bytes[..],
            records.iter().map(|record| record.bytes).collect::<Vec<_>>().concat()
        );
    }

    #[test]
    fn what_implementations_read_differently_is_malformed() {
        for bytes in [
            &[0x0a, 5, b'a'][..], // longer than the message
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], // length 2^64-1
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], // 2^64 and more
            &[0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0], // eleven bytes
            &[0x80, 0x80, 0x80, 0x80, 0x10, 0], // a tag of 33 bits
            &[0x08, 0x80],        // a varint without end
            &[0x08],              // a field without value
            &[0x00, 0x00],        // field number 0
            &[0x0b, 0x0c],        // a group
            &[0x0f],              // wire type 7
            &[0x0d, 0, 0],        // half a fixed32
            &[0x09, 0, 0, 0, 0, 0, 0, 0], // almost a fixed64
        ] {
            let mut records = Records::new(bytes);

            assert_eq!(Some(Err(Malformed)), records.next(), "{bytes:?}");
            assert_eq!(None, records.next());
        }
    }
}
