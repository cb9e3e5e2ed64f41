//! Protobuf's numbers of one to ten bytes.

/// A varint of which some bytes have arrived.
#[derive(Clone, Copy, Debug, Default)]
pub struct Varint {
    value: u64,
    /// Those that have arrived.
    pub bits: u32,
}

impl Varint {
    /// Takes the next byte: the value if it is whole, an error if it has more than ten bytes.
    pub fn take(&mut self, byte: u8) -> Result<Option<u64>, ()> {
        if self.bits >= 70 {
            return Err(());
        }
        self.value |= u64::from(byte & 0x7f).checked_shl(self.bits).unwrap_or(0);
        self.bits += 7;
        Ok((byte & 0x80 == 0).then_some(self.value))
    }
}

/// A varint that lies whole at the beginning of `bytes`, and the rest.
pub fn whole_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        return Some((u64::from(*first), rest));
    }
    let mut varint = Varint::default();
    for (place, byte) in bytes.iter().enumerate() {
        if let Some(value) = varint.take(*byte).ok()? {
            return Some((value, &bytes[place + 1..]));
        }
    }
    None
}
