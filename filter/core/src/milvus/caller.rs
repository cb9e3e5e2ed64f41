//! Who makes a call, by its `authorization`: a user's name, or a hash in place of an API key. Never a password or a key.
//!
//! Milvus takes `authorization` apart like this: in gRPC it is base64 of `user:password` or of an API key, without a
//! scheme (internal/proxy/authentication_interceptor.go); in REST it is `Bearer` with either of them in plain text, or
//! `Basic`. Whether the credentials are right only Milvus knows: until it has answered, a name is a claim.

use std::collections::hash_map::RandomState;
use std::fmt;
#[expect(
    deprecated,
    reason = "the successors do not say which function they compute, and take no key"
)]
use std::hash::SipHasher;
use std::hash::{BuildHasher, Hasher};

use crate::wire::base64;
use crate::wire::text::Text;

/// The longest name of a user, in bytes. Milvus allows 32 unless `proxy.maxUsernameLength` says more; what is longer
/// is more likely a secret in the wrong place, and is hashed.
const MAX_USER: usize = 64;

/// The key of the hashes, random for each installation.
///
/// The hash is SipHash-2-4: a pseudorandom function, so a person with hashes and without the key can neither find the text of one nor
/// try texts that are easy to guess, as names are. 64 bits are enough to tell users apart: among a million, two have the
/// same hash with a probability of 3 in 100 million.
#[derive(Clone, Copy)]
pub struct HashKey(u64, u64);

impl HashKey {
    pub const LENGTH: usize = 16;

    pub fn new(bytes: [u8; Self::LENGTH]) -> Self {
        let number = u128::from_le_bytes(bytes);
        Self(number as u64, (number >> 64) as u64)
    }

    /// A key for the life of this process, from the operating system's randomness.
    pub fn random() -> Self {
        let number = || RandomState::new().build_hasher().finish();
        Self(number(), number())
    }

    #[expect(deprecated, reason = "see the import")]
    fn hasher(self) -> SipHasher {
        SipHasher::new_with_keys(self.0, self.1)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HashKey(..)")
    }
}

/// What is said of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// Their names.
    Names,
    /// Hashes of their names, which are the same in all calls.
    Hashed,
    /// Nothing.
    Nobody,
}

/// Finds the user of a call.
#[derive(Clone, Copy, Debug)]
pub struct Users {
    pub naming: Naming,
    pub key: HashKey,
}

/// A user as it is shown: a name, `user-` or `key-` and a hash in hexadecimal digits, or nothing. Milvus's names have no
/// hyphen, so a hash is never taken for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User(Text<MAX_USER>);

impl Users {
    /// The user of a gRPC call with this `authorization`.
    pub fn of_grpc(&self, authorization: Option<&[u8]>) -> User {
        match authorization {
            None | Some([]) => User::NOBODY,
            Some(_) if self.naming == Naming::Nobody => User::NOBODY,
            Some(encoded) => self.of_base64(encoded),
        }
    }

    /// The user of a REST call with this `authorization`.
    pub fn of_rest(&self, authorization: Option<&[u8]>) -> User {
        let Some(value) = authorization else { return User::NOBODY };
        if self.naming == Naming::Nobody {
            return User::NOBODY;
        }
        if let Some(encoded) = without_scheme(value, b"basic ") {
            return self.of_base64(encoded);
        }
        let mut claim = Claim::new(self.key);
        let _ =
            without_scheme(value, b"bearer ").unwrap_or(value).iter().all(|byte| claim.push(*byte));
        claim.user(self)
    }

    fn of_base64(&self, encoded: &[u8]) -> User {
        let mut claim = Claim::new(self.key);
        if base64::decode(encoded, |byte| claim.push(byte)).is_err() {
            claim = Claim::new(self.key);
            claim.hasher.write(encoded);
            claim.fits = false;
        }
        claim.user(self)
    }
}

fn without_scheme<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = value.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

impl User {
    pub const NOBODY: Self = Self(Text::EMPTY);

    /// The text; empty if there is no user.
    pub fn as_str(&self) -> &str {
        // What is not text became a hash.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn hashed(kind: &str, hash: u64) -> Self {
        let mut text = Text::of(kind.as_bytes());
        for place in (0..16).rev() {
            text.push(b"0123456789abcdef"[(hash >> (4 * place)) as usize & 15]);
        }
        Self(text)
    }
}

/// Credentials while they are read. Nothing after the name is looked at.
#[expect(deprecated, reason = "see the import")]
struct Claim {
    /// Of the bytes that are not in `name` any more.
    hasher: SipHasher,
    /// The last bytes, if there were more than fit.
    name: Text<MAX_USER>,
    fits: bool,
    /// Whether the name has ended with a colon.
    is_name: bool,
}

impl Claim {
    fn new(key: HashKey) -> Self {
        Self { hasher: key.hasher(), name: Text::EMPTY, fits: true, is_name: false }
    }

    /// Takes the next byte; false: nothing more is needed.
    fn push(&mut self, byte: u8) -> bool {
        if byte == b':' {
            self.is_name = true;
            return false;
        }
        if !self.name.push(byte) {
            self.fits = false;
            self.hasher.write(self.name.as_bytes());
            self.name.clear();
            self.name.push(byte);
        }
        true
    }

    fn user(mut self, users: &Users) -> User {
        if self.is_name
            && self.fits
            && (self.name.is_empty()
                || users.naming == Naming::Names && is_printable(self.name.as_bytes()))
        {
            return User(self.name);
        }
        self.hasher.write(self.name.as_bytes());
        User::hashed(if self.is_name { "user-" } else { "key-" }, self.hasher.finish())
    }
}

/// Whether a name can stand in a line as it is.
fn is_printable(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fuzz::{damage, fuzz};

    const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    fn users(naming: Naming) -> Users {
        Users { naming, key: HashKey::new(KEY) }
    }

    fn grpc(authorization: &str) -> String {
        users(Naming::Names).of_grpc(Some(authorization.as_bytes())).as_str().to_owned()
    }

    fn rest(authorization: &str) -> String {
        users(Naming::Names).of_rest(Some(authorization.as_bytes())).as_str().to_owned()
    }

    #[test]
    fn a_name_stands_before_the_first_colon() {
        assert_eq!("root", grpc("cm9vdDpNaWx2dXM=")); // root:Milvus
        assert_eq!("root", grpc("cm9vdDphOmI=")); // root:a:b
        assert_eq!("", grpc("Om9ubHk=")); // :only
        for value in ["Bearer root:Milvus", "bearer root:a:b", "Basic cm9vdDpNaWx2dXM="] {
            assert_eq!("root", rest(value));
        }
    }

    #[test]
    fn without_credentials_there_is_nobody() {
        for users in [users(Naming::Names), users(Naming::Hashed)] {
            assert_eq!("", users.of_grpc(None).as_str());
            assert_eq!("", users.of_grpc(Some(b"")).as_str());
            assert_eq!("", users.of_rest(None).as_str());
        }
    }

    #[test]
    fn the_hash_is_siphash_2_4_with_the_key_of_the_installation() {
        // The test vector of the SipHash paper: the bytes 0 to 14 with the key 0 to 15.
        let encoded = b"AAECAwQFBgcICQoLDA0O";

        assert_eq!("key-a129ca6149be45e5", users(Naming::Names).of_grpc(Some(encoded)).as_str());
        let other = Users { naming: Naming::Names, key: HashKey::new([7; 16]) };
        assert_ne!("key-a129ca6149be45e5", other.of_grpc(Some(encoded)).as_str());
    }

    #[test]
    fn an_api_key_is_the_same_user_in_both_apis() {
        let hashed = grpc("c2VjcmV0LWtleQ=="); // secret-key

        assert!(hashed.starts_with("key-"), "{hashed}");
        for value in ["Bearer secret-key", "Basic c2VjcmV0LWtleQ=="] {
            assert_eq!(hashed, rest(value));
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_hashed_whole() {
        for value in ["root:Milvus", "Basic cm9vdDpNaWx2dXM=", "cm9vdDpNaWx2dXM==", "\u{e9}"] {
            assert!(grpc(value).starts_with("key-"), "{value}");
        }
    }

    #[test]
    fn a_name_that_is_too_long_or_not_printable_is_hashed() {
        let name = "n".repeat(64);
        assert_eq!(name, rest(&format!("Bearer {name}:p")));
        for name in [format!("{name}n"), "a\tb".to_owned()] {
            assert!(rest(&format!("Bearer {name}:p")).starts_with("user-"), "{name}");
        }
        let raw = users(Naming::Names).of_rest(Some(b"Bearer \xff\xfe:p"));
        assert!(raw.as_str().starts_with("user-"));
    }

    #[test]
    fn names_are_hashed_or_left_out_on_demand() {
        let (root, alice) = (Some(&b"cm9vdDpNaWx2dXM="[..]), Some(&b"YWxpY2U6eA=="[..]));
        let hashed = users(Naming::Hashed);

        assert!(hashed.of_grpc(root).as_str().starts_with("user-"));
        assert_eq!(hashed.of_grpc(root), hashed.of_rest(Some(b"Bearer root:other")));
        assert_ne!(hashed.of_grpc(root), hashed.of_grpc(alice));
        assert_eq!(User::NOBODY, users(Naming::Nobody).of_grpc(root));
        assert_eq!(User::NOBODY, users(Naming::Nobody).of_rest(root));
    }

    #[test]
    fn a_password_makes_no_difference_and_is_never_kept() {
        for naming in [Naming::Names, Naming::Hashed, Naming::Nobody] {
            let of = |value: &str| format!("{:?}", users(naming).of_rest(Some(value.as_bytes())));

            assert_eq!(of("Bearer root:hunter2"), of("Bearer root:other"));
            assert!(!of("Bearer root:hunter2").contains("hunter2"));
        }
        assert_eq!("HashKey(..)", format!("{:?}", HashKey::new(KEY)));
    }

    #[test]
    fn a_random_key_is_another_one_each_time() {
        let user = || {
            let users = Users { naming: Naming::Hashed, key: HashKey::random() };
            users.of_grpc(Some(b"cm9vdDpNaWx2dXM="))
        };

        assert_ne!(user(), user());
    }

    /// The password and an API key are in no form of the user, however the header is damaged.
    #[test]
    fn fuzz_credentials() {
        let texts = [
            "cm9vdDpwNHNzdzByZA==", // root:p4ssw0rd
            "Bearer root:p4ssw0rd",
            "Basic cm9vdDpwNHNzdzByZA==",
            "Bearer p4ssw0rd",
            "cDRzc3cwcmQ=",
        ];
        fuzz("credentials", 50_000, |random| {
            let mut header = random.one(&texts).as_bytes().to_vec();
            damage(&mut header, random);
            let naming = *random.one(&[Naming::Names, Naming::Hashed, Naming::Nobody]);
            let users = Users { naming, key: HashKey::new([7; HashKey::LENGTH]) };
            for user in [users.of_grpc(Some(&header)), users.of_rest(Some(&header))] {
                let text = user.as_str();
                assert!(text.len() <= MAX_USER && !text.contains(':'), "{header:02x?}");
                assert!(naming != Naming::Nobody || text.is_empty());
                assert!(naming != Naming::Hashed || !text.contains("root"));
            }
        });
    }
}
