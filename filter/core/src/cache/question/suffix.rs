//! The three fields that make a read a fill: in protobuf the last value of a field counts.

use crate::cache::planted;
use crate::cache::question::method::Method;

/// A tag of one byte and a number, three times. The guarantee has up to ten bytes, the others have one.
const MOST: usize = (1 + 10) + (1 + 1) + (1 + 1);
/// The level's number.
const CUSTOMIZED: u8 = 4;

/// What a fill appends to the client's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suffix {
    bytes: [u8; MOST],
    length: usize,
}

impl Suffix {
    /// Asks for every write up to the hybrid timestamp `upto`: it sets the guarantee, the level Customized and
    /// `use_default_consistency = false`. Without the last one Milvus ignores the others.
    pub fn asking_for(method: Method, upto: u64) -> Self {
        let [guarantee, level, is_default] = match method {
            Method::Search => [11, 14, 15],
            Method::HybridSearch | Method::Query => [8, 11, 12],
        };
        let mut suffix = Self { bytes: [0; MOST], length: 0 };
        suffix.push(guarantee << 3);
        let mut rest = upto;
        while rest >= 0x80 {
            suffix.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        suffix.push(rest as u8);
        suffix.push(level << 3);
        suffix.push(CUSTOMIZED);
        if !planted::default_flag_not_sent() {
            suffix.push(is_default << 3);
            suffix.push(0);
        }
        suffix
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_have_the_numbers_of_their_message() {
        let search = Suffix::asking_for(Method::Search, 300);
        assert_eq!([11 << 3, 0xac, 2, 14 << 3, 4, 15 << 3, 0], search.bytes());
        for method in [Method::HybridSearch, Method::Query] {
            let suffix = Suffix::asking_for(method, 1);
            assert_eq!([8 << 3, 1, 11 << 3, 4, 12 << 3, 0], suffix.bytes());
        }
        assert_eq!(MOST, Suffix::asking_for(Method::Search, u64::MAX).bytes().len());
    }
}
