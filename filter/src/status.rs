//! Milvus's in-band status: what a response says of the endpoint that sent it.
//!
//! Milvus answers gRPC OK and puts its errors into the message, as a `common.Status`
//! {error_code = 1, reason = 2, code = 3}.

#![forbid(unsafe_code)]

use crate::grpc::{first_message, First};
use crate::protobuf::{Item, Message, Value};
use crate::rpc::StatusAt;

/// What the beginning of a response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This endpoint cannot serve now; another one may.
    NotReady,
    /// Anything else: success, an error of the caller or of the whole cluster, or nothing readable.
    Other,
    /// More bytes are needed to tell.
    Unknown,
}

/// merr's `ErrServiceNotReady` and `ErrServiceUnavailable` (pkg/util/merr/errors.go).
const CODES_NOT_READY: [u64; 2] = [1, 2];
/// The deprecated `ErrorCode.NotReadyServe`, from servers that know no `code`.
const LEGACY_NOT_READY: u64 = 56;
/// Milvus 2.2 and earlier say `ErrorCode.UnexpectedError` with this reason, perhaps continued.
const LEGACY_UNEXPECTED: u64 = 1;
const LEGACY_REASON: &[u8] = b"proxy not healthy";

/// Judges a response of which the bytes `head` have arrived, gRPC framing included.
pub fn judge(head: &[u8], at: StatusAt) -> Verdict {
    let message = match first_message(head) {
        First::Unknown => return Verdict::Unknown,
        First::Compressed => return Verdict::Other,
        First::Plain(message) => message,
    };
    match at {
        StatusAt::Message => judge_status(message),
        StatusAt::Field(number) => judge_field(message, number),
        StatusAt::Nowhere => Verdict::Other,
    }
}

fn judge_field(mut message: Message, wanted: u32) -> Verdict {
    loop {
        match message.next_item() {
            Item::Field(number, Value::Delimited(status)) if number == wanted => {
                return judge_status(status);
            }
            // Milvus writes fields in the order of their numbers: past this one there is no status.
            Item::Field(number, _) if number >= wanted => return Verdict::Other,
            Item::Field(..) => {}
            Item::More => return Verdict::Unknown,
            Item::End | Item::Malformed => return Verdict::Other,
        }
    }
}

fn judge_status(mut status: Message) -> Verdict {
    let (mut error_code, mut reason, mut code) = (0, &[][..], 0);
    loop {
        match status.next_item() {
            Item::Field(1, Value::Varint(value)) => error_code = value,
            Item::Field(2, Value::Delimited(value)) => reason = value.bytes(),
            Item::Field(3, Value::Varint(value)) => code = value,
            Item::Field(number, _) if number <= 3 => return Verdict::Other,
            Item::Field(..) | Item::End => break,
            Item::More => return Verdict::Unknown,
            Item::Malformed => return Verdict::Other,
        }
    }
    let legacy = error_code == LEGACY_NOT_READY
        || error_code == LEGACY_UNEXPECTED && reason.starts_with(LEGACY_REASON);
    if CODES_NOT_READY.contains(&code) || code == 0 && legacy {
        Verdict::NotReady
    } else {
        Verdict::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend((message.len() as u32).to_be_bytes());
        bytes.extend(message);
        bytes
    }

    fn delimited(number: u8, content: &[u8]) -> Vec<u8> {
        assert!(content.len() < 128);
        [&[number << 3 | 2, content.len() as u8], content].concat()
    }

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
    fn an_endpoint_that_cannot_serve_is_told_from_every_other_answer() {
        for (verdict, status) in [
            (Verdict::NotReady, status(56, "service not ready[proxy=1]", 1)),
            (Verdict::NotReady, status(1, "service unavailable", 2)),
            (Verdict::NotReady, status(0, "", 1)),
            (Verdict::NotReady, status(56, "", 0)),
            (Verdict::NotReady, status(1, "proxy not healthy", 0)),
            (Verdict::NotReady, status(1, "proxy not healthy, StateCode=Abnormal", 0)),
            (Verdict::Other, status(0, "", 0)),
            (Verdict::Other, status(1, "the proxy not healthy", 0)),
            (Verdict::Other, status(4, "proxy not healthy", 0)),
            (Verdict::Other, status(49, "rate limit exceeded", 8)),
            (Verdict::Other, status(1, "memory limit exceeded", 3)),
            (Verdict::Other, status(56, "proxy not healthy", 100)),
            (Verdict::Other, status(1, "collection not loaded", 101)),
        ] {
            let nested = framed(&delimited(1, &status));

            assert_eq!(verdict, judge(&framed(&status), StatusAt::Message), "{status:?}");
            assert_eq!(verdict, judge(&nested, StatusAt::Field(1)), "{status:?}");
        }
    }

    #[test]
    fn fields_around_the_status_do_not_matter() {
        let not_ready = status(56, "not ready", 1);
        let before =
            [delimited(1, b"state"), delimited(2, b"sub"), delimited(3, &not_ready)].concat();
        let after = [delimited(1, &not_ready), delimited(2, b"results")].concat();
        let later = [not_ready, vec![0x20, 1], delimited(5, b"detail")].concat();

        assert_eq!(Verdict::NotReady, judge(&framed(&before), StatusAt::Field(3)));
        assert_eq!(Verdict::NotReady, judge(&framed(&after), StatusAt::Field(1)));
        assert_eq!(Verdict::NotReady, judge(&framed(&later), StatusAt::Message));
    }

    #[test]
    fn a_result_is_judged_before_it_has_arrived() {
        // status {} and then 1 GiB of results.
        let head =
            [&[0, 0x40, 0, 0, 8][..], &delimited(1, b""), &[0x12, 0x80, 0x80, 0x80, 0x80, 4]]
                .concat();

        assert_eq!(Verdict::Other, judge(&head[..7], StatusAt::Field(1)));
        assert_eq!(Verdict::Other, judge(&head, StatusAt::Field(1)));
    }

    #[test]
    fn a_response_without_status_is_judged_by_its_first_field() {
        let head = [&[0, 0x40, 0, 0, 8][..], &[0x12, 0xff, 0xff, 0xff, 0x7f]].concat();

        assert_eq!(Verdict::Other, judge(&head, StatusAt::Field(1)));
        assert_eq!(Verdict::Other, judge(&framed(b""), StatusAt::Field(1)));
    }

    #[test]
    fn the_verdict_waits_for_the_code_wherever_the_response_is_cut() {
        let nested = framed(&delimited(1, &status(56, "service not ready", 1)));

        for arrived in 0..nested.len() {
            assert_eq!(
                Verdict::Unknown,
                judge(&nested[..arrived], StatusAt::Field(1)),
                "{arrived}"
            );
        }
        assert_eq!(Verdict::NotReady, judge(&nested, StatusAt::Field(1)));
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
            assert_eq!(Verdict::Other, judge(&head, StatusAt::Field(1)), "{head:?}");
        }
        assert_eq!(Verdict::Other, judge(&framed(&not_ready), StatusAt::Nowhere));
    }
}
