//! Milvus's own status inside a response, and what it says about the endpoint that sent the response.
//!
//! Milvus answers with the gRPC status OK and puts its errors into the message, as a `common.Status`
//! {error_code = 1, reason = 2, code = 3, retriable = 4}.

use crate::milvus::rest::Body;
use crate::milvus::rpc::MilvusStatusLocation;
use crate::wire::grpc::{first_message, First};
use crate::wire::protobuf::{Item, Message, Value};

/// What the beginning of a response says about its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// This endpoint cannot serve now; another one may.
    NotReady,
    /// The same of a proxy that has not served anything since it was started, so that it has not begun this call either.
    Starting,
    /// Everything else: success, an error of the caller or of the whole cluster, or an unreadable response.
    Ready,
    /// More bytes are needed.
    Unknown,
}

/// merr's `ErrServiceNotReady` (pkg/util/merr/errors.go). Milvus sends `ErrorCode.NotReadyServe` with it (merr's
/// `oldCode`), or at least `retriable`. Milvus Lite answers errors of the caller with this code and neither.
const CODE_NOT_READY: u64 = 1;
/// merr's `ErrServiceUnavailable`.
const CODE_UNAVAILABLE: u64 = 2;
/// The deprecated `ErrorCode.NotReadyServe`: with `CODE_NOT_READY`, or alone from servers that know no `code`.
const LEGACY_NOT_READY: u64 = 56;
/// How a proxy refuses every call until it serves, before it looks at it (`CheckHealthy` at the beginning of each handler):
/// the text is `service not ready[proxy=7]: Initializing`. Other components have other roles. After it has served, its state
/// has other names, and the refusal may be that of a step of a call that was begun.
const STARTING: (&[u8], &[u8]) = (b"service not ready[proxy=", b"]: Initializing");
/// Milvus 2.2 and earlier say `ErrorCode.UnexpectedError` with this reason, perhaps continued.
const LEGACY_UNEXPECTED: u64 = 1;
const LEGACY_REASON: &[u8] = b"proxy not healthy";

/// Reads the readiness from the bytes `head` of a response that have arrived, gRPC framing included.
pub fn readiness(head: &[u8], at: MilvusStatusLocation) -> Readiness {
    let message = match first_message(head) {
        First::Unknown => return Readiness::Unknown,
        First::Compressed => return Readiness::Ready,
        First::Plain(message) => message,
    };
    match at {
        MilvusStatusLocation::Message => status_readiness(message),
        MilvusStatusLocation::Field(number) => field_readiness(message, number),
        MilvusStatusLocation::Nowhere => Readiness::Ready,
    }
}

/// What the message of a response of REST has in it if the proxy is not ready: the texts of merr, and of Milvus 2.2. The code
/// alone does not say so, since early versions of REST have 1 for errors of the caller, too.
const REST_NOT_READY: [&[u8]; 3] =
    [b"service not ready", b"service unavailable", b"proxy not healthy"];

/// Reads the readiness from the bytes `head` of the JSON of REST that have arrived.
pub fn rest_readiness(head: &[u8]) -> Readiness {
    let mut body = Body::default();
    body.push(head);
    match body.code {
        None if body.is_read() => Readiness::Ready,
        Some(code @ (CODE_NOT_READY | CODE_UNAVAILABLE)) if body.is_read() => {
            let says = |text: &&[u8]| head.windows(text.len()).any(|part| part == *text);
            // A text of JSON as a whole: a quotation mark within one has a backslash before it.
            if code == CODE_NOT_READY && head.split(|byte| *byte == b'"').any(is_starting) {
                Readiness::Starting
            } else if REST_NOT_READY.iter().any(says) {
                Readiness::NotReady
            } else {
                Readiness::Ready
            }
        }
        // The message comes after the code.
        None | Some(CODE_NOT_READY | CODE_UNAVAILABLE) => Readiness::Unknown,
        Some(_) => Readiness::Ready,
    }
}

fn field_readiness(mut message: Message, wanted: u32) -> Readiness {
    loop {
        match message.next_item() {
            Item::Field(number, Value::Delimited(status)) if number == wanted => {
                return status_readiness(status);
            }
            // Milvus writes fields in the order of their numbers: past this one there is no status.
            Item::Field(number, _) if number >= wanted => return Readiness::Ready,
            Item::Field(..) => {}
            Item::More => return Readiness::Unknown,
            Item::End | Item::Malformed => return Readiness::Ready,
        }
    }
}

fn status_readiness(mut status: Message) -> Readiness {
    let (mut error_code, mut reason, mut code, mut retriable) = (0, &[][..], 0, 0);
    loop {
        match status.next_item() {
            Item::Field(1, Value::Varint(value)) => error_code = value,
            Item::Field(2, Value::Delimited(value)) => reason = value.bytes(),
            Item::Field(3, Value::Varint(value)) => code = value,
            Item::Field(4, Value::Varint(value)) => retriable = value,
            Item::Field(number, _) if number <= 4 => return Readiness::Ready,
            Item::Field(..) | Item::End => break,
            Item::More => return Readiness::Unknown,
            Item::Malformed => return Readiness::Ready,
        }
    }
    let not_ready = match code {
        0 => {
            error_code == LEGACY_NOT_READY
                || error_code == LEGACY_UNEXPECTED && reason.starts_with(LEGACY_REASON)
        }
        CODE_NOT_READY => error_code == LEGACY_NOT_READY || retriable != 0,
        _ => code == CODE_UNAVAILABLE,
    };
    if !not_ready {
        Readiness::Ready
    } else if code == CODE_NOT_READY && is_starting(reason) {
        Readiness::Starting
    } else {
        Readiness::NotReady
    }
}

fn is_starting(reason: &[u8]) -> bool {
    let number = reason.strip_prefix(STARTING.0).and_then(|rest| rest.strip_suffix(STARTING.1));
    number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

/// Milvus's own code in the bytes `head` of a response, 0 for success; None if they do not tell. Errors of servers
/// without codes have the deprecated code.
pub fn code(head: &[u8], at: MilvusStatusLocation) -> Option<u64> {
    let First::Plain(mut message) = first_message(head) else { return None };
    let MilvusStatusLocation::Field(wanted) = at else {
        return (at == MilvusStatusLocation::Message).then(|| status_code(message)).flatten();
    };
    loop {
        match message.next_item() {
            Item::Field(number, Value::Delimited(status)) if number == wanted => {
                return status_code(status);
            }
            Item::Field(number, _) if number >= wanted => return Some(0),
            Item::Field(..) => {}
            Item::End => return Some(0),
            Item::More | Item::Malformed => return None,
        }
    }
}

fn status_code(mut status: Message) -> Option<u64> {
    let (mut error_code, mut code) = (0, 0);
    loop {
        match status.next_item() {
            Item::Field(1, Value::Varint(value)) => error_code = value,
            Item::Field(3, Value::Varint(value)) => code = value,
            Item::Field(..) => {}
            Item::End => return Some(if code == 0 { error_code } else { code }),
            Item::More | Item::Malformed => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encode::{delimited, framed};

    /// A status as Milvus writes it, zeros left out.
    fn status(error_code: u8, reason: &str, code: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        if error_code != 0 {
            bytes.extend([0x08, error_code]);
        }
        if !reason.is_empty() {
            bytes.extend(delimited(2, reason.as_bytes()));
        }
        if code != 0 {
            bytes.extend([0x18, code]);
        }
        bytes
    }

    #[test]
    fn an_endpoint_that_cannot_serve_differs_from_every_other_response() {
        for (expected, status) in [
            (Readiness::NotReady, status(56, "service not ready[proxy=1]", 1)),
            (Readiness::Starting, status(56, "service not ready[proxy=10]: Initializing", 1)),
            (Readiness::NotReady, status(56, "service not ready[proxy=10]: Abnormal", 1)),
            (Readiness::NotReady, status(56, "service not ready[proxy=]: Initializing", 1)),
            (Readiness::NotReady, status(56, "service not ready[rootcoord=1]: Initializing", 1)),
            (Readiness::NotReady, status(56, "a->service not ready[proxy=1]: Initializing", 1)),
            (Readiness::NotReady, status(56, "service not ready[proxy=1]: Initializing: b", 1)),
            (Readiness::NotReady, status(1, "service not ready[proxy=1]: Initializing", 2)),
            (Readiness::Ready, status(1, "service not ready[proxy=1]: Initializing", 100)),
            (Readiness::NotReady, status(1, "service unavailable", 2)),
            (Readiness::Ready, status(1, "collection 'kites' already exists", 1)),
            (Readiness::Ready, status(0, "operands could not be broadcast together", 1)),
            (Readiness::NotReady, status(56, "", 0)),
            (Readiness::NotReady, status(1, "proxy not healthy", 0)),
            (Readiness::NotReady, status(1, "proxy not healthy, StateCode=Abnormal", 0)),
            (Readiness::Ready, status(0, "", 0)),
            (Readiness::Ready, status(1, "the proxy not healthy", 0)),
            (Readiness::Ready, status(4, "proxy not healthy", 0)),
            (Readiness::Ready, status(49, "rate limit exceeded", 8)),
            (Readiness::Ready, status(1, "memory limit exceeded", 3)),
            (Readiness::Ready, status(56, "proxy not healthy", 100)),
            (Readiness::Ready, status(1, "collection not loaded", 101)),
        ] {
            let nested = framed(&delimited(1, &status));

            assert_eq!(
                expected,
                readiness(&framed(&status), MilvusStatusLocation::Message),
                "{status:?}"
            );
            assert_eq!(expected, readiness(&nested, MilvusStatusLocation::Field(1)), "{status:?}");
        }
    }

    #[test]
    fn the_code_is_that_of_the_status_wherever_it_is() {
        for (expected, status) in [
            (Some(0), status(0, "", 0)),
            (Some(8), status(49, "rate limit exceeded", 8)),
            (Some(4), status(4, "not found", 0)),
        ] {
            let nested = framed(&[delimited(1, &status), delimited(2, b"result")].concat());

            assert_eq!(expected, code(&framed(&status), MilvusStatusLocation::Message));
            assert_eq!(expected, code(&nested, MilvusStatusLocation::Field(1)));
            assert_eq!(None, code(&nested[..4], MilvusStatusLocation::Field(1)));
            assert_eq!(None, code(&nested, MilvusStatusLocation::Nowhere));
        }
        assert_eq!(
            Some(0),
            code(&framed(&delimited(2, b"result")), MilvusStatusLocation::Field(1))
        );
        assert_eq!(Some(0), code(&framed(b""), MilvusStatusLocation::Field(1)));
        assert_eq!(None, code(&framed(&[0x0b]), MilvusStatusLocation::Field(1)));
    }

    #[test]
    fn fields_around_the_status_do_not_matter() {
        let not_ready = status(56, "not ready", 1);
        let before =
            [delimited(1, b"state"), delimited(2, b"sub"), delimited(3, &not_ready)].concat();
        let after = [delimited(1, &not_ready), delimited(2, b"results")].concat();
        let later = [not_ready, vec![0x20, 1], delimited(5, b"detail")].concat();
        let retriable = [status(0, "not ready", 1), vec![0x20, 1]].concat();

        assert_eq!(
            Readiness::NotReady,
            readiness(&framed(&before), MilvusStatusLocation::Field(3))
        );
        assert_eq!(Readiness::NotReady, readiness(&framed(&after), MilvusStatusLocation::Field(1)));
        assert_eq!(Readiness::NotReady, readiness(&framed(&later), MilvusStatusLocation::Message));
        assert_eq!(
            Readiness::NotReady,
            readiness(&framed(&retriable), MilvusStatusLocation::Message)
        );
    }

    #[test]
    fn a_result_is_read_before_it_has_arrived() {
        // status {} and then 1 GiB of results.
        let head =
            [&[0, 0x40, 0, 0, 8][..], &delimited(1, b""), &[0x12, 0x80, 0x80, 0x80, 0x80, 4]]
                .concat();

        assert_eq!(Readiness::Ready, readiness(&head[..7], MilvusStatusLocation::Field(1)));
        assert_eq!(Readiness::Ready, readiness(&head, MilvusStatusLocation::Field(1)));
    }

    #[test]
    fn a_response_without_status_is_known_by_its_first_field() {
        let head = [&[0, 0x40, 0, 0, 8][..], &[0x12, 0xff, 0xff, 0xff, 0x7f]].concat();

        assert_eq!(Readiness::Ready, readiness(&head, MilvusStatusLocation::Field(1)));
        assert_eq!(Readiness::Ready, readiness(&framed(b""), MilvusStatusLocation::Field(1)));
    }

    #[test]
    fn the_readiness_waits_for_the_code_wherever_the_response_is_cut() {
        let nested = framed(&delimited(1, &status(56, "service not ready", 1)));

        for arrived in 0..nested.len() {
            assert_eq!(
                Readiness::Unknown,
                readiness(&nested[..arrived], MilvusStatusLocation::Field(1)),
                "{arrived}"
            );
        }
        assert_eq!(Readiness::NotReady, readiness(&nested, MilvusStatusLocation::Field(1)));
    }

    #[test]
    fn what_is_not_a_status_is_never_not_ready() {
        let not_ready = status(56, "", 1);
        let mut compressed = framed(&delimited(1, &not_ready));
        compressed[0] = 1;
        for head in [
            compressed,
            framed(&[0x08, 1]),                      // field 1 is a number
            framed(&[0x0a, 0x7f, 0x18, 1]),          // a status longer than its message
            framed(&delimited(1, &[0x1a, 1, 1])),    // code is a string
            framed(&delimited(1, &[0x0b, 0x18, 1])), // a group
            framed(&delimited(1, &[0x80; 12])),      // a varint without end
            framed(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
            framed(&delimited(2, &delimited(1, &not_ready))),
        ] {
            assert_eq!(
                Readiness::Ready,
                readiness(&head, MilvusStatusLocation::Field(1)),
                "{head:?}"
            );
        }
        assert_eq!(Readiness::Ready, readiness(&framed(&not_ready), MilvusStatusLocation::Nowhere));
    }
}
