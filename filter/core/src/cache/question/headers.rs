//! The request's headers as a part of the key: all but those that make no difference to an answer.

use crate::cache::caller::Caller;
use crate::cache::planted;
use crate::cache::question::sha256::{Digest, Sha256};
use crate::cache::reason::Reason;

/// A header's name and one of its values.
pub type Header<'a> = (&'a [u8], &'a [u8]);

/// Headers that Milvus's answers to reads do not depend on, in lower case. They differ between two calls that ask for the
/// same, or between two connections. HTTP/2's own are the ones with a colon; the method of the path is part of the key by
/// itself.
const IRRELEVANT: [&[u8]; 23] = [
    b"baggage",
    b"b3",
    b"client-request-id",
    b"client-request-unixmsec",
    b"client_request_id",
    b"content-length",
    b"grpc-accept-encoding",
    b"grpc-previous-rpc-attempts",
    b"grpc-timeout",
    b"grpc-trace-bin",
    b"host",
    b"identifier",
    b"log-level",
    b"log_level",
    b"sentry-trace",
    b"te",
    b"traceparent",
    b"tracestate",
    b"uber-trace-id",
    b"user-agent",
    b"x-amzn-trace-id",
    b"x-cloud-trace-context",
    b"x-request-id",
];
const IRRELEVANT_PREFIXES: [&[u8]; 5] =
    [b":", b"x-b3-", b"x-datadog-", b"x-envoy-", b"x-forwarded-"];

const AUTHORIZATION: &[u8] = b"authorization";

/// Those that every client sends. Any other one that is relevant is worth a remark: it may keep keys apart.
const EXPECTED: [&[u8]; 4] = [AUTHORIZATION, b"content-type", DATABASE, b"grpc-encoding"];

/// The header with which Milvus's own components ask; their requests skip the checks of privileges.
const INTERNAL: &[u8] = b"sourceid";
const DATABASE: &[u8] = b"dbname";

/// The headers of a request that make a difference.
pub struct Relevant<'a> {
    /// Sorted by name; the values of one name in the order in which they were sent.
    headers: Vec<Header<'a>>,
}

impl<'a> Relevant<'a> {
    /// Takes a request's headers, whose names Envoy gives in lower case.
    pub fn of(headers: &[Header<'a>]) -> Result<Self, Reason> {
        let mut relevant: Vec<Header> =
            headers.iter().filter(|(name, _)| is_relevant(name)).copied().collect();
        if relevant.iter().any(|(name, _)| *name == INTERNAL) {
            return Err(Reason::Internal);
        }
        relevant.sort_by_key(|(name, _)| *name);
        Ok(Self { headers: relevant })
    }

    /// Their part of the key.
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        hash.push(&(self.headers.len() as u64).to_be_bytes());
        for (name, value) in &self.headers {
            hash.push_text(name);
            hash.push_text(value);
        }
        hash.finish()
    }

    pub fn caller(&self) -> Caller {
        Caller::of(self.headers.iter().copied())
    }

    /// The first credentials.
    pub fn authorization(&self) -> Option<&'a [u8]> {
        let sent = self.headers.iter().find(|(name, _)| *name == AUTHORIZATION);
        sent.map(|(_, value)| *value)
    }

    /// The database that the headers name: Milvus takes the first value. Empty: none.
    pub fn database(&self) -> &'a [u8] {
        let named = self.headers.iter().find(|(name, _)| *name == DATABASE);
        named.map_or(&[], |(_, value)| *value)
    }
}

/// The names of the headers that keep keys apart, beside those that every client sends.
pub fn unusual<'a>(headers: &'a [Header]) -> impl Iterator<Item = &'a [u8]> {
    let names = headers.iter().map(|(name, _)| *name);
    names.filter(|name| is_relevant(name) && !EXPECTED.contains(name))
}

fn is_relevant(name: &[u8]) -> bool {
    if name == AUTHORIZATION && planted::authorization_not_in_key() {
        return false;
    }
    !IRRELEVANT.contains(&name)
        && !IRRELEVANT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(headers: &[(&str, &str)]) -> Digest {
        let headers: Vec<Header> =
            headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        Relevant::of(&headers).unwrap().digest()
    }

    #[test]
    fn headers_that_differ_between_equal_calls_make_no_difference() {
        let plain = digest(&[("authorization", "a"), ("dbname", "d")]);

        for name in [
            ":path",
            ":authority",
            "b3",
            "client-request-id",
            "client-request-unixmsec",
            "grpc-timeout",
            "identifier",
            "user-agent",
            "x-b3-traceid",
            "x-envoy-attempt-count",
            "x-forwarded-for",
            "x-request-id",
        ] {
            let more = digest(&[("authorization", "a"), (name, "1"), ("dbname", "d")]);
            assert_eq!(plain, more, "{name}");
        }
    }

    #[test]
    fn every_other_header_makes_a_difference() {
        let all = [
            digest(&[]),
            digest(&[("authorization", "")]),
            digest(&[("authorization", "a")]),
            digest(&[("authorization", "b")]),
            digest(&[("authorization", "a"), ("authorization", "b")]),
            digest(&[("authorization", "b"), ("authorization", "a")]),
            digest(&[("authorization", "a"), ("x-tenant", "b")]),
            digest(&[("authorization", "ax-tenant"), ("b", "")]),
            digest(&[("dbname", "a")]),
            digest(&[("b3-more", "a")]),
            digest(&[("content-type", "application/grpc+json")]),
        ];
        for (place, digest) in all.iter().enumerate() {
            assert!(!all[..place].contains(digest), "{place}");
        }
    }

    #[test]
    fn the_order_of_two_names_makes_no_difference() {
        assert_eq!(
            digest(&[("dbname", "d"), ("a", "1"), ("dbname", "e"), ("a", "2")]),
            digest(&[("a", "1"), ("a", "2"), ("dbname", "d"), ("dbname", "e")])
        );
    }

    #[test]
    fn the_first_database_counts() {
        let headers: [Header; 3] = [(b"a", b"x"), (b"dbname", b"one"), (b"dbname", b"two")];

        assert_eq!(b"one", Relevant::of(&headers).unwrap().database());
        assert_eq!(b"", Relevant::of(&headers[..1]).unwrap().database());
    }

    #[test]
    fn milvus_itself_is_not_served() {
        let headers: [Header; 1] = [(b"sourceid", b"QEBtaWx2dXMtbWVtYmVyQEA=")];

        assert_eq!(Some(Reason::Internal), Relevant::of(&headers).err());
    }

    #[test]
    fn headers_that_few_clients_send_are_named() {
        let headers: [Header; 4] = [
            (b"authorization", b"a"),
            (b"x-tenant", b"t"),
            (b"te", b"trailers"),
            (b"dbname", b"d"),
        ];

        assert_eq!(vec![b"x-tenant"], unusual(&headers).collect::<Vec<_>>());
    }
}
