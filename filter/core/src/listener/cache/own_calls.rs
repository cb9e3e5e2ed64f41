//! The calls that the cache makes itself: for a timestamp, and for a collection's level.

use std::time::Duration;

use crate::cache::pool::prompt::LONGEST;
use crate::cache::question::describe;
use crate::cache::read::Read;
use crate::host::own_call::OwnCall;
use crate::host::request::Request;
use crate::wire::encode::framed;

/// So long an answer may take if no read waits for it.
const TIMEOUT: Duration = Duration::from_secs(1);
const SERVICE: &str = "/milvus.proto.milvus.MilvusService/";
const AUTHORIZATION: &[u8] = b"authorization";

/// Headers that are about the client's own request or connection, in lower case.
const OF_THE_REQUEST: [&[u8]; 12] = [
    b"accept-encoding",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"expect",
    b"grpc-accept-encoding",
    b"grpc-encoding",
    b"grpc-timeout",
    b"host",
    b"te",
    b"transfer-encoding",
];

/// An AllocTimestamp for the user of a request, which `waits` for it or not.
pub fn alloc_timestamp(cluster: &str, waits: bool, request: &impl Request) -> OwnCall {
    call(cluster, "AllocTimestamp", framed(&[]), waits, request, |name| name == AUTHORIZATION)
}

/// A DescribeCollection of the collection of a read, with the headers of the read, which `waits` for it or not.
pub fn describe_collection(
    cluster: &str,
    waits: bool,
    read: &Read,
    request: &impl Request,
) -> OwnCall {
    let passes = |name: &[u8]| {
        !name.starts_with(b":") && !name.starts_with(b"x-envoy-") && !OF_THE_REQUEST.contains(&name)
    };
    call(cluster, "DescribeCollection", describe(read), waits, request, passes)
}

/// A call of Milvus, with those headers of a request that `passes` names.
fn call(
    cluster: &str,
    rpc: &str,
    body: Vec<u8>,
    waits: bool,
    request: &impl Request,
    passes: impl Fn(&[u8]) -> bool,
) -> OwnCall {
    let path = format!("{SERVICE}{rpc}");
    let host = request.request_header(":authority").unwrap_or(b"milvus");
    let own: [(&[u8], &[u8]); 5] = [
        (b":method", b"POST"),
        (b":path", path.as_bytes()),
        (b"host", host),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    ];
    let mut headers: Vec<_> =
        own.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    request.each_request_header(|name, value| {
        if passes(name) {
            headers.push((name.to_vec(), value.to_vec()));
        }
    });
    let timeout = if waits { LONGEST } else { TIMEOUT };
    OwnCall { cluster: cluster.to_owned(), headers, body, timeout }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::caller::Caller;
    use crate::cache::question::glance::Asker;
    use crate::host::fake::{headers, FakeStream};

    fn request() -> FakeStream {
        let request = headers(&[
            (":path", "/milvus.proto.milvus.MilvusService/Search"),
            (":authority", "a:1"),
            ("content-type", "application/grpc"),
            ("content-length", "9"),
            ("grpc-timeout", "1S"),
            ("authorization", "secret"),
            ("x-tenant", "t"),
            ("x-tenant", "u"),
            ("x-envoy-upstream-rq-timeout-ms", "1"),
        ]);
        FakeStream { request, ..FakeStream::default() }
    }

    fn text(call: &OwnCall) -> Vec<String> {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        call.headers.iter().map(|(name, value)| format!("{} {}", text(name), text(value))).collect()
    }

    #[test]
    fn a_timestamp_is_asked_for_with_the_users_credentials_and_nothing_else() {
        let call = alloc_timestamp("c", true, &request());

        assert_eq!(
            [
                ":method POST",
                ":path /milvus.proto.milvus.MilvusService/AllocTimestamp",
                "host a:1",
                "content-type application/grpc",
                "te trailers",
                "authorization secret",
            ],
            text(&call)[..]
        );
        assert_eq!(("c", &[0; 5][..]), (&*call.cluster, &*call.body));
    }

    #[test]
    fn a_collection_is_described_with_the_clients_own_headers() {
        let read = Read {
            key: [0; 32],
            collection_key: [0; 32],
            caller: Caller::of(std::iter::empty()),
            database: "d".to_owned(),
            collection: "books".to_owned(),
            level: None,
            guarantee: 0,
            asker: Asker(0),
            is_repeated: false,
        };
        let call = describe_collection("c", false, &read, &request());

        assert_eq!(["authorization secret", "x-tenant t", "x-tenant u"], text(&call)[5..]);
        assert_eq!(b"\0\0\0\0\x0a\x12\x01d\x1a\x05books"[..], call.body);
    }
}
