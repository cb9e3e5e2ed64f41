//! Names in requests.

/// The most bytes that are kept of a name. Milvus allows 255.
const MAX_NAME: usize = 255;
/// So many bytes of a name are stored without memory of its own.
const SHORT_NAME: usize = 40;

/// A name of a request, of at most 255 bytes; a longer one is cut. A short one needs no memory of its own.
#[derive(Clone, Debug)]
pub struct Name {
    short: [u8; SHORT_NAME],
    /// All of it, if it does not fit.
    long: Vec<u8>,
    length: usize,
    is_cut: bool,
}

impl Default for Name {
    fn default() -> Self {
        Self { short: [0; SHORT_NAME], long: Vec::new(), length: 0, is_cut: false }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        (self.bytes(), self.is_cut) == (other.bytes(), other.is_cut)
    }
}

impl Eq for Name {}

impl Name {
    pub fn bytes(&self) -> &[u8] {
        if self.length > SHORT_NAME {
            &self.long
        } else {
            &self.short[..self.length]
        }
    }

    /// Whether the request's name is longer, and so not one that Milvus accepts.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Appends a piece; the first one begins a new name.
    pub fn push(&mut self, piece: &[u8], first: bool) {
        if first {
            (self.length, self.is_cut) = (0, false);
        }
        let room = MAX_NAME - self.length;
        self.is_cut |= piece.len() > room;
        let piece = &piece[..piece.len().min(room)];
        let length = self.length + piece.len();
        if length <= SHORT_NAME {
            self.short[self.length..length].copy_from_slice(piece);
        } else {
            if self.length <= SHORT_NAME {
                self.long.clear();
                self.long.extend_from_slice(&self.short[..self.length]);
            }
            self.long.extend_from_slice(piece);
        }
        self.length = length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_however_it_comes() {
        for length in [0, 1, SHORT_NAME - 1, SHORT_NAME, SHORT_NAME + 1, 255, 256] {
            let whole: Vec<u8> = (0..length).map(|number| number as u8).collect();
            for size in [1, 7, 39, 300] {
                let mut name = Name::default();
                name.push(b"an earlier name of more than forty bytes is gone", true);
                name.push(b"", true);
                whole.chunks(size).for_each(|piece| name.push(piece, false));

                assert_eq!(&whole[..length.min(255)], name.bytes(), "{length} {size}");
                assert_eq!(length > 255, name.is_cut());
            }
        }
    }

    #[test]
    fn a_name_is_cut_where_milvus_accepts_none() {
        let mut name = Name::default();
        name.push(&[b'a'; 200], true);
        name.push(&[b'b'; 55], false);
        assert_eq!((255, false), (name.bytes().len(), name.is_cut()));

        name.push(b"c", false);
        assert_eq!((255, true), (name.bytes().len(), name.is_cut()));

        name.push(b"d", true);
        assert_eq!((&b"d"[..], false), (name.bytes(), name.is_cut()));
    }
}
