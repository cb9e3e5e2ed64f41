//! Who makes a call, as far as its credentials say.

use crate::cache::question::sha256::Sha256;

const AUTHORIZATION: &[u8] = b"authorization";

/// The SHA-256 of a request's credentials: requests without credentials are one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Caller(pub [u8; 32]);

impl Caller {
    /// Takes a request's headers, with names in lower case. A header that is sent twice makes another caller.
    pub fn of<'a>(headers: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut hash = Sha256::new();
        for (_, value) in headers.filter(|(name, _)| *name == AUTHORIZATION) {
            hash.push_text(value);
        }
        Self(hash.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(headers: &[(&str, &str)]) -> Caller {
        Caller::of(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
    }

    #[test]
    fn credentials_alone_tell_callers_apart() {
        let nobody = caller(&[]);
        let one = caller(&[("authorization", "a")]);
        assert_eq!(nobody, caller(&[("x-tenant", "t")]));
        assert_eq!(one, caller(&[("dbname", "d"), ("authorization", "a")]));
        for other in ["b", "", "aa"] {
            assert_ne!(one, caller(&[("authorization", other)]));
            assert_ne!(nobody, caller(&[("authorization", other)]));
        }
        assert_ne!(one, caller(&[("authorization", "a"), ("authorization", "b")]));
    }
}
