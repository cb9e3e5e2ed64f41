//! The answer to a call that is refused: Milvus's own for calls over its limits, on which clients back off. A call that cannot
//! be read gets Milvus's answer to a wrong parameter, which clients do not repeat.

use std::time::Duration;

use crate::admission::limits::{Excess, Resource};
use crate::admission::pool::Denied;
use crate::host::response::LocalReply;
use crate::listener::policy::By;
use crate::milvus::rpc::{MilvusStatusLocation, Rpc};
use crate::wire::encode::{delimited, framed, varint};

/// `ErrorCode.RateLimit`, for SDKs that look at the old field.
const ERROR_CODE: u32 = 49;
/// merr's `ErrServiceRateLimit`, which PyMilvus retries with a growing pause.
const CODE: u32 = 8;
/// merr's `ErrHTTPRateLimit`, its counterpart in REST.
const REST_CODE: u32 = 1807;

/// `ErrorCode.IllegalArgument`, and merr's `ErrParameterInvalid`.
const UNREADABLE: (u32, u32) = (5, 1100);

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Limit(By, Excess),
    Denied(Denied),
    /// A limit depends on what the message says, and it is compressed or damaged.
    Unreadable,
}

impl Reason {
    /// The value of a label, and what the access log says.
    pub fn label(self) -> &'static str {
        match self {
            Self::Limit(_, excess) => match excess.resource {
                Resource::Requests => "requests",
                Resource::Rows => "rows",
                Resource::Bytes => "bytes",
                Resource::InFlight => "in_flight",
            },
            Self::Denied(Denied::Waited) => "waited",
            Self::Denied(Denied::Full) => "queue_full",
            Self::Unreadable => "unreadable",
        }
    }

    /// The Milvus error code that the client gets, for a gRPC call.
    pub fn code(self) -> u32 {
        match self {
            Self::Unreadable => UNREADABLE.1,
            Self::Limit(..) | Self::Denied(_) => CODE,
        }
    }

    fn sentence(self) -> String {
        match self {
            Self::Limit(by, excess) => {
                let what = match excess.resource {
                    Resource::Requests => "requests per second",
                    Resource::Rows => "rows per second",
                    Resource::Bytes => "bytes per second",
                    Resource::InFlight => "requests in flight",
                };
                format!("kiteway: rate limit exceeded: {what} of this {by}. Try again later.")
            }
            Self::Denied(Denied::Waited) => {
                "kiteway: rate limit exceeded: Milvus is busy, and the request has waited as long as it may. Try again later."
                    .to_owned()
            }
            Self::Denied(Denied::Full) => {
                "kiteway: rate limit exceeded: Milvus is busy, and too many requests wait. Try again later."
                    .to_owned()
            }
            Self::Unreadable => {
                "kiteway: the limits of this endpoint depend on the content of a request, and this one cannot be read. Send it without compression."
                    .to_owned()
            }
        }
    }

    /// The answer to a gRPC call.
    pub fn message(self, rpc: &Rpc) -> LocalReply {
        let sentence = self.sentence();
        let (error_code, may_be_repeated) = match self {
            Self::Unreadable => (UNREADABLE.0, 0),
            Self::Limit(..) | Self::Denied(_) => (ERROR_CODE, 1),
        };
        let status = [
            varint(1, error_code),
            delimited(2, sentence.as_bytes()),
            varint(3, self.code()),
            varint(4, may_be_repeated),
        ]
        .concat();
        LocalReply::Message(match rpc.milvus_status {
            MilvusStatusLocation::Field(number) => framed(&delimited(number as u8, &status)),
            MilvusStatusLocation::Message | MilvusStatusLocation::Nowhere => framed(&status),
        })
    }

    /// The answer to a REST request.
    pub fn rest(self) -> LocalReply {
        let after = match self {
            Self::Limit(_, excess) => excess.after,
            Self::Denied(_) | Self::Unreadable => Duration::ZERO,
        };
        // Whole seconds, at least one (RFC 9110, 10.2.3).
        let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0)).max(1);
        let sentence = self.sentence();
        LocalReply::Json {
            status: 429,
            retry_after: Some(seconds),
            body: format!("{{\"code\":{REST_CODE},\"message\":\"{sentence}\"}}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::milvus::call::Call;
    use crate::milvus::milvus_status::code;
    use crate::wire::json::{parse_object, Value};

    const USER: By = By { user: true, database: false, collection: false };

    fn over(resource: Resource, milliseconds: u64) -> Reason {
        Reason::Limit(USER, Excess { resource, after: Duration::from_millis(milliseconds) })
    }

    #[test]
    fn every_call_gets_its_own_message_with_the_code_of_a_rate_limit() {
        for call in Call::all() {
            let Call::Milvus(rpc) = call else { continue };
            if rpc.milvus_status == MilvusStatusLocation::Nowhere {
                continue;
            }
            let LocalReply::Message(message) = over(Resource::Requests, 1).message(rpc) else {
                panic!()
            };
            assert_eq!(Some(8), code(&message, rpc.milvus_status), "{}", rpc.name);
        }
    }

    #[test]
    fn a_rest_answer_says_in_how_many_seconds_to_try_again() {
        for (milliseconds, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (61_500, 62)] {
            let LocalReply::Json { status: 429, retry_after, body } =
                over(Resource::Rows, milliseconds).rest()
            else {
                panic!()
            };
            let mut body = parse_object(body.as_bytes()).unwrap();

            assert_eq!(Some(seconds), retry_after);
            assert_eq!(Some(Value::Number(1807.0)), body.take("code"));
            let sentence =
                "kiteway: rate limit exceeded: rows per second of this user. Try again later.";
            assert_eq!(Ok(Some(sentence.to_owned())), body.take_text("message"));
        }
    }
}
