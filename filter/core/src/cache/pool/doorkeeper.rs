//! Which reads were seen before: when memory is full, an answer to any other read would only evict an answer that is used.

/// A table of fixed size. A read replaces the one at its place. So reads that come once mostly replace each other, and sometimes
/// one that is repeated later, which then counts as new.
#[derive(Debug, Default)]
pub struct Doorkeeper {
    /// Empty until the first read.
    seen: Vec<u64>,
}

const PLACES: usize = 2048;

impl Doorkeeper {
    /// Whether a read with this key was seen before.
    pub fn knows(&self, key: &[u8; 32]) -> bool {
        let (place, number) = place(key);
        self.seen.get(place) == Some(&number)
    }

    /// Whether a read with this key was seen before; from now on it was.
    pub fn has_seen(&mut self, key: &[u8; 32]) -> bool {
        let (place, number) = place(key);
        self.seen.resize(PLACES, 0);
        std::mem::replace(&mut self.seen[place], number) == number
    }
}

/// The place of a key in the table, and the number that is stored there. The key is a digest, so any of its bytes are as good as
/// random.
fn place(key: &[u8; 32]) -> (usize, u64) {
    let [.., a, b, c, d, e, f, g, h] = *key;
    let number = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    ((number >> 32) as usize % PLACES, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_seen_once_it_was_there() {
        let mut doorkeeper = Doorkeeper::default();
        assert!(!doorkeeper.knows(&[1; 32]));
        assert!(!doorkeeper.has_seen(&[1; 32]));
        assert!(doorkeeper.knows(&[1; 32]));
        assert!(doorkeeper.has_seen(&[1; 32]));
        assert!(!doorkeeper.has_seen(&[2; 32]));
    }
}
