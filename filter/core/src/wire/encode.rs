//! A writer for the few messages that the filter makes itself.

/// Appends a varint.
pub fn push_varint(into: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        into.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// A field with a number below 16 and the type varint.
pub fn varint(number: u8, value: u32) -> Vec<u8> {
    let mut field = vec![number << 3];
    push_varint(&mut field, value);
    field
}

/// A length-delimited field with a number below 16.
pub fn delimited(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    push_varint(&mut field, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    field.extend_from_slice(bytes);
    field
}

/// An uncompressed message behind gRPC's five bytes.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], message].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lengths_are_varints() {
        assert_eq!(vec![0x18, 0xff, 0xff, 3], varint(3, 65_535));
        assert_eq!([0x12, 0xac, 2], delimited(2, &[0; 300])[..3]);
    }

    #[test]
    fn a_frame_begins_with_its_flag_and_length() {
        assert_eq!([0, 0, 0, 1, 2], framed(&[7; 258])[..5]);
        assert_eq!(263, framed(&[7; 258]).len());
    }
}
