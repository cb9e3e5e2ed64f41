//! A reader of protobuf messages of which only the beginning is here yet.
//!
//! It reads one level: a nested message is handed out to be read in turn. Nothing is allocated, and
//! no input makes it read outside its bytes or loop without advancing.

/// A message `length` bytes long, of which `bytes` have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    bytes: &'a [u8],
    length: usize,
}

/// What comes next in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A field: its number and its value.
    Field(u32, Value<'a>),
    /// The message is over.
    End,
    /// The rest of the message has not arrived.
    More,
    /// This is not protobuf.
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Varint(u64),
    /// A string, bytes or a nested message; possibly only its beginning.
    Delimited(Message<'a>),
    /// A 32- or 64-bit number.
    Fixed,
}

/// Why a read stopped.
enum Stop {
    More,
    Malformed,
}

const MAX_FIELD_NUMBER: u64 = (1 << 29) - 1;
const MAX_VARINT_BYTES: usize = 10;

impl<'a> Message<'a> {
    /// A message of `length` bytes that begins with `bytes`; what follows it in `bytes` is cut off.
    pub fn new(bytes: &'a [u8], length: usize) -> Self {
        Self { bytes: &bytes[..bytes.len().min(length)], length }
    }

    /// What has arrived of it.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Reads the next field and advances past it.
    pub fn next_item(&mut self) -> Item<'a> {
        if self.length == 0 {
            return Item::End;
        }
        match self.field() {
            Ok((number, value)) => Item::Field(number, value),
            Err(Stop::More) => Item::More,
            Err(Stop::Malformed) => Item::Malformed,
        }
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Stop> {
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || number > MAX_FIELD_NUMBER {
            return Err(Stop::Malformed);
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.fixed(8)?,
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Stop::Malformed)?;
                Value::Delimited(self.take(length)?)
            }
            5 => self.fixed(4)?,
            _ => return Err(Stop::Malformed), // proto3 has no groups
        };
        Ok((number as u32, value))
    }

    fn fixed(&mut self, length: usize) -> Result<Value<'a>, Stop> {
        self.take(length).map(|_| Value::Fixed)
    }

    /// Takes the next `length` bytes, of which perhaps only some have arrived.
    fn take(&mut self, length: usize) -> Result<Self, Stop> {
        if length > self.length {
            return Err(Stop::Malformed);
        }
        let (taken, rest) = self.bytes.split_at(self.bytes.len().min(length));
        self.bytes = rest;
        self.length -= length;
        Ok(Self { bytes: taken, length })
    }

    fn varint(&mut self) -> Result<u64, Stop> {
        let mut value = 0;
        for index in 0..MAX_VARINT_BYTES {
            let Some(&byte) = self.bytes.get(index) else {
                return Err(if index == self.length { Stop::Malformed } else { Stop::More });
            };
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.bytes = &self.bytes[index + 1..];
                self.length -= index + 1;
                return Ok(value);
            }
        }
        Err(Stop::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Message<'_> {
        Message::new(bytes, bytes.len())
    }

    #[test]
    fn fields_come_in_order_and_then_the_end() {
        let bytes =
            [0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1d, 0, 0, 0, 0, 0x21, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut message = whole(&bytes);

        assert_eq!(Item::Field(1, Value::Varint(150)), message.next_item());
        assert_eq!(Item::Field(2, Value::Delimited(whole(b"hi"))), message.next_item());
        assert_eq!(Item::Field(3, Value::Fixed), message.next_item());
        assert_eq!(Item::Field(4, Value::Fixed), message.next_item());
        assert_eq!(Item::End, message.next_item());
        assert_eq!(Item::End, message.next_item());
    }

    #[test]
    fn a_cut_message_gives_what_has_arrived_and_asks_for_more() {
        let bytes = [0x0a, 4, b'a', b'b', b'c', b'd', 0x10, 1];

        for arrived in 0..bytes.len() {
            let mut message = Message::new(&bytes[..arrived], bytes.len());
            let mut items = Vec::new();
            loop {
                let item = message.next_item();
                items.push(item);
                if !matches!(item, Item::Field(..)) {
                    break;
                }
            }
            assert_eq!(Some(&Item::More), items.last(), "{arrived} bytes arrived");
        }
        let mut partial = Message::new(&bytes[..4], bytes.len());
        let Item::Field(1, Value::Delimited(text)) = partial.next_item() else { panic!() };
        assert_eq!(b"ab", text.bytes());
    }

    #[test]
    fn what_cannot_be_a_message_is_malformed() {
        for bytes in [
            &[0x0a, 5, b'a'][..], // longer than what holds it
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], // length 2^64-1
            &[0x80; 11],          // a varint without end
            &[0x08, 0x80],        // a varint cut by its message
            &[0x08],              // a field without value
            &[0x00, 0x00],        // field number 0
            &[0x0b],              // a group
            &[0x0f],              // wire type 7
            &[0x0d, 0, 0],        // half a fixed32
        ] {
            assert_eq!(Item::Malformed, whole(bytes).next_item(), "{bytes:?}");
        }
    }

    #[test]
    fn every_input_comes_to_an_end() {
        // All strings of up to four bytes over those that matter to the format.
        let alphabet = [0x00, 0x01, 0x08, 0x0a, 0x12, 0x7f, 0x80, 0xff];
        for code in 0..alphabet.len().pow(4) {
            let bytes: Vec<u8> = (0..4).map(|i| alphabet[(code >> (3 * i)) & 7]).collect();
            for length in 0..8 {
                let mut message = Message::new(&bytes, length);
                let steps = (0..10).take_while(|_| matches!(message.next_item(), Item::Field(..)));

                assert!(steps.count() <= length, "{bytes:?} of {length}");
            }
        }
    }
}
