//! SHA-256 (FIPS 180-4). Rust's standard library has no cryptographic hash, and the filter has no dependencies.

use std::sync::OnceLock;

/// A hash of 32 bytes. No two inputs with the same hash are known.
pub type Digest = [u8; 32];

const BLOCK: usize = 64;

/// Takes a block into the state.
pub type Compress = fn(&mut [u32; 8], &[u8; BLOCK]);

/// The processor's own instructions, where there are some.
static FAST: OnceLock<Compress> = OnceLock::new();

const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The constants of the rounds.
#[rustfmt::skip] // Eight to a line, as in the standard.
pub const K: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// A hash of what has been pushed so far. A clone goes on from there.
#[derive(Clone)]
pub struct Sha256 {
    state: [u32; 8],
    /// The first `held` bytes wait for the rest of their block.
    block: [u8; BLOCK],
    held: usize,
    /// Of all that was pushed, in bytes.
    length: u64,
}

impl Sha256 {
    pub fn new() -> Self {
        Self { state: INITIAL, block: [0; BLOCK], held: 0, length: 0 }
    }

    pub fn push(&mut self, mut bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        if self.held > 0 {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.held));
            self.block[self.held..self.held + now.len()].copy_from_slice(now);
            self.held += now.len();
            bytes = later;
            if self.held < BLOCK {
                return;
            }
            compress(&mut self.state, &self.block);
        }
        while let Some((block, rest)) = bytes.split_first_chunk::<BLOCK>() {
            compress(&mut self.state, block);
            bytes = rest;
        }
        self.block[..bytes.len()].copy_from_slice(bytes);
        self.held = bytes.len();
    }

    /// Pushes the length and then the bytes, so that no other sequence of texts gives the same input.
    pub fn push_text(&mut self, bytes: &[u8]) {
        self.push(&(bytes.len() as u64).to_be_bytes());
        self.push(bytes);
    }

    pub fn finish(mut self) -> Digest {
        let bits = self.length.wrapping_mul(8).to_be_bytes();
        self.block[self.held] = 0x80;
        self.block[self.held + 1..].fill(0);
        if self.held >= BLOCK - bits.len() {
            compress(&mut self.state, &self.block);
            self.block.fill(0);
        }
        self.block[BLOCK - bits.len()..].copy_from_slice(&bits);
        compress(&mut self.state, &self.block);
        let mut digest = [0; 32];
        for (place, word) in digest.chunks_exact_mut(4).zip(self.state) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }
}

/// One round. Instead of moving the eight variables on, the caller names them in another order.
macro_rules! round {
    ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $input:expr) => {
        let sum = $e.rotate_right(6) ^ $e.rotate_right(11) ^ $e.rotate_right(25);
        let choice = $g ^ ($e & ($f ^ $g));
        let first = $h.wrapping_add(sum).wrapping_add(choice).wrapping_add($input);
        let sum = $a.rotate_right(2) ^ $a.rotate_right(13) ^ $a.rotate_right(22);
        let majority = ($a & $b) | ($c & ($a | $b));
        $d = $d.wrapping_add(first);
        $h = first.wrapping_add(sum).wrapping_add(majority);
    };
}

/// Eight rounds, after which every variable has its own name again. `$input` says the word and constant of a round.
macro_rules! eight_rounds {
    ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $input:expr) => {
        round!($a $b $c $d $e $f $g $h, $input(0));
        round!($h $a $b $c $d $e $f $g, $input(1));
        round!($g $h $a $b $c $d $e $f, $input(2));
        round!($f $g $h $a $b $c $d $e, $input(3));
        round!($e $f $g $h $a $b $c $d, $input(4));
        round!($d $e $f $g $h $a $b $c, $input(5));
        round!($c $d $e $f $g $h $a $b, $input(6));
        round!($b $c $d $e $f $g $h $a, $input(7));
    };
}

/// Uses `compress` from now on, unless it does something else than the code here. True: it is used.
pub fn accelerate(compress: Compress) -> bool {
    let mut block = [0; BLOCK];
    let (mut expected, mut found) = (INITIAL, INITIAL);
    for round in 0..64_u8 {
        for (place, byte) in block.iter_mut().enumerate() {
            *byte = (place as u8).wrapping_mul(round).wrapping_add(round ^ 0x5a);
        }
        portable(&mut expected, &block);
        compress(&mut found, &block);
        if expected != found {
            return false;
        }
    }
    FAST.set(compress).is_ok()
}

fn compress(state: &mut [u32; 8], block: &[u8; BLOCK]) {
    FAST.get().unwrap_or(&(portable as Compress))(state, block);
}

fn portable(state: &mut [u32; 8], block: &[u8; BLOCK]) {
    let mut words = [0; 16];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    let input = |place: usize| words[place].wrapping_add(K[place]);
    eight_rounds!(a b c d e f g h, input);
    eight_rounds!(a b c d e f g h, |place: usize| input(place + 8));
    for constants in K[16..].chunks_exact(16) {
        let mut input = |place: usize| {
            let (old, new) = (words[(place + 1) & 15], words[(place + 14) & 15]);
            let old = old.rotate_right(7) ^ old.rotate_right(18) ^ (old >> 3);
            let new = new.rotate_right(17) ^ new.rotate_right(19) ^ (new >> 10);
            let sum = old.wrapping_add(new).wrapping_add(words[(place + 9) & 15]);
            words[place] = words[place].wrapping_add(sum);
            words[place].wrapping_add(constants[place])
        };
        eight_rounds!(a b c d e f g h, input);
        eight_rounds!(a b c d e f g h, |place: usize| input(place + 8));
    }
    for (word, more) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_code_is_used_only_if_it_does_the_same() {
        assert!(!accelerate(|_, _| {}));
        assert!(!accelerate(|state, block| {
            if block[1] == 0x5a ^ 63 {
                return;
            }
            portable(state, block);
            state[7] ^= u32::from(block[0] == 0x5a ^ 63);
        }));
        assert!(accelerate(portable));
    }

    fn digest(bytes: &[u8]) -> String {
        let mut hash = Sha256::new();
        hash.push(bytes);
        hash.finish().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_hashes_are_those_of_the_standard() {
        // FIPS 180-2, appendix B, and the empty text of NIST's CAVP.
        for (text, expected) in [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
            (
                "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqr\
                 lmnopqrsmnopqrstnopqrstu",
                "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
            ),
        ] {
            assert_eq!(expected, digest(text.as_bytes()), "{text}");
        }
        assert_eq!(
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
            digest(&vec![b'a'; 1_000_000])
        );
    }

    #[test]
    fn it_makes_no_difference_how_the_bytes_come() {
        let bytes: Vec<u8> = (0..300).map(|number| number as u8).collect();
        for length in [0, 1, 55, 56, 63, 64, 65, 119, 120, 127, 128, 129, 300] {
            let whole = digest(&bytes[..length]);
            for size in [1, 3, 63, 64, 65, 200] {
                let mut hash = Sha256::new();
                bytes[..length].chunks(size).for_each(|piece| hash.push(piece));
                let other = hash.clone();

                let pieces: String =
                    hash.finish().iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(whole, pieces, "{length} {size}");
                assert_eq!(
                    whole,
                    other.finish().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
                );
            }
        }
    }

    #[test]
    fn texts_do_not_run_into_each_other() {
        let of = |texts: &[&str]| {
            let mut hash = Sha256::new();
            texts.iter().for_each(|text| hash.push_text(text.as_bytes()));
            hash.finish()
        };

        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab"]), of(&["ab", ""]));
        assert_ne!(of(&["", "ab"]), of(&["ab", ""]));
    }
}
