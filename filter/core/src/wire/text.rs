//! Short texts in a place of a fixed size.

use std::fmt;

/// At most `N` bytes, 255 at most.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

impl<const N: usize> Text<N> {
    pub const EMPTY: Self = Self { bytes: [0; N], length: 0 };

    /// As much of `bytes` as fits.
    pub fn of(bytes: &[u8]) -> Self {
        let mut text = Self::EMPTY;
        for byte in bytes.iter().take(N) {
            text.push(*byte);
        }
        text
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends a byte; false if there is no room for it.
    pub fn push(&mut self, byte: u8) -> bool {
        let Some(place) = self.bytes.get_mut(usize::from(self.length)) else { return false };
        if self.length == u8::MAX {
            return false;
        }
        *place = byte;
        self.length += 1;
        true
    }

    pub fn clear(&mut self) {
        self.length = 0;
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(self.as_bytes()), formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_as_much_as_fits() {
        let mut text = Text::<3>::of(b"abcd");
        assert_eq!(b"abc", text.as_bytes());
        assert!(!text.push(b'd'));

        text.clear();
        assert!(text.is_empty() && text.push(b'd'));
        assert_eq!("\"d\"", format!("{text:?}"));
        assert_eq!(255, Text::<300>::of(&[b'x'; 300]).as_bytes().len());
    }
}
