//! Messages that were read a moment ago. A hot question comes in the same bytes, so one comparison of them takes the place of reading its
//! fields and of SHA-256.
//!
//! What is remembered is a function of the message alone, and a message is compared in full. Headers, and so credentials, are not
//! remembered.

use std::cell::RefCell;
use std::ops::Range;

use crate::cache::question::keyed_hash::hash;
use crate::cache::question::level::Wanted;
use crate::cache::question::message::{self, Asked, Named};
use crate::cache::question::method::Method;
use crate::cache::question::sha256::{Digest, Sha256};
use crate::cache::reason::Reason;

/// The messages that a worker remembers.
const PLACES: usize = 128;
/// A longer message, in bytes, is not remembered: so a worker has at most 1 MiB of them.
const LONGEST: usize = 8 << 10;

thread_local! {
    static RECENT: RefCell<Recent> = RefCell::default();
}

/// A message and what was read of it.
#[derive(Debug)]
struct Known {
    method: Method,
    message: Box<[u8]>,
    digest: Digest,
    wanted: Wanted,
    /// Where the message has the names.
    database: Range<usize>,
    collection: Range<usize>,
}

#[derive(Debug, Default)]
struct Recent {
    /// By their place, the hashes of messages that came last; empty until the first one.
    seen: Vec<u64>,
    /// Those that came twice: messages that come once take no memory.
    known: Vec<Option<Known>>,
}

/// Reads a message as `message::read` does, and returns its part of the key.
pub fn read(method: Method, message: &[u8]) -> Result<(Asked<'_>, Digest), Reason> {
    if message.len() > LONGEST {
        return read_whole(method, message);
    }
    RECENT.with_borrow_mut(|recent| recent.read(method, message))
}

fn read_whole(method: Method, message: &[u8]) -> Result<(Asked<'_>, Digest), Reason> {
    let mut digest = Sha256::new();
    digest.push(&[method as u8]);
    let asked = message::read(method.kind(), message, &mut digest)?;
    Ok((asked, digest.finish()))
}

impl Recent {
    fn read<'a>(
        &mut self,
        method: Method,
        message: &'a [u8],
    ) -> Result<(Asked<'a>, Digest), Reason> {
        let number = hash(message);
        let place = number as usize % PLACES;
        let known = self.known.get(place).and_then(Option::as_ref);
        if let Some(known) = known.filter(|known| known.is(method, message)) {
            return Ok((known.asked(message), known.digest));
        }
        let (asked, digest) = read_whole(method, message)?;
        self.seen.resize(PLACES, 0);
        let has_come = std::mem::replace(&mut self.seen[place], number) == number;
        if has_come && asked.parts == Named::default() {
            self.known.resize_with(PLACES, || None);
            self.known[place] = Some(Known::new(method, message, &asked, digest));
        }
        Ok((asked, digest))
    }
}

impl Known {
    fn new(method: Method, message: &[u8], asked: &Asked, digest: Digest) -> Self {
        let range = |part: &[u8]| {
            let start = (part.as_ptr() as usize).wrapping_sub(message.as_ptr() as usize);
            if part.is_empty() {
                0..0
            } else {
                start..start + part.len()
            }
        };
        Self {
            method,
            message: message.into(),
            digest,
            wanted: asked.wanted,
            database: range(asked.database),
            collection: range(asked.collection),
        }
    }

    fn is(&self, method: Method, message: &[u8]) -> bool {
        self.method == method && *self.message == *message
    }

    /// What was read, with the names in `message`, which is the same as the one that is remembered.
    fn asked<'a>(&self, message: &'a [u8]) -> Asked<'a> {
        Asked {
            wanted: self.wanted,
            database: &message[self.database.clone()],
            collection: &message[self.collection.clone()],
            parts: Named::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encode::{delimited, varint};

    fn known(recent: &Recent) -> usize {
        recent.known.iter().flatten().count()
    }

    #[test]
    fn a_message_that_is_remembered_is_read_as_before() {
        let mut recent = Recent::default();
        let message = |number: u8| {
            [delimited(2, b"d"), delimited(3, b"books"), varint(12, 2), delimited(4, &[number; 40])]
                .concat()
        };
        for round in 0..4 {
            for number in 0..40 {
                for method in [Method::Search, Method::Query] {
                    // The field 4 of a Query is its expression.
                    let message = message(number + 32);
                    assert_eq!(
                        read_whole(method, &message),
                        recent.read(method, &message),
                        "{round} {number} {method:?}"
                    );
                }
            }
        }
        assert!(known(&recent) > 20);
    }

    #[test]
    fn a_message_that_comes_once_takes_no_memory_and_the_place_of_none() {
        let mut recent = Recent::default();
        let hot = delimited(3, b"books");
        for _ in 0..2 {
            recent.read(Method::Search, &hot).unwrap();
        }
        for number in 0..1000_u32 {
            recent.read(Method::Search, &delimited(4, &number.to_le_bytes())).unwrap();
        }

        assert_eq!(1, known(&recent));
        let place = hash(&hot) as usize % PLACES;
        assert!(recent.known[place].as_ref().unwrap().is(Method::Search, &hot));
    }

    #[test]
    fn what_cannot_be_kept_is_refused_each_time() {
        let mut recent = Recent::default();
        for _ in 0..3 {
            assert!(recent.read(Method::Query, &delimited(3, b"books")[..3]).is_err());
        }
        assert_eq!(0, known(&recent));
    }
}
