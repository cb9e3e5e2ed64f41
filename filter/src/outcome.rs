//! The status of an answer, as a metric's label. There are few, whatever an endpoint sends.

#![forbid(unsafe_code)]

/// By number, as in https://grpc.github.io/grpc/core/md_doc_statuscodes.html; the access log has the same names.
const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
const HTTP: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// There is no status, or none that anybody knows.
pub const NONE: &str = "none";
/// What most calls of gRPC end with.
pub const GRPC_SUCCESS: &str = GRPC[0];
/// What most calls of REST end with.
pub const HTTP_SUCCESS: &str = HTTP[1];

/// The name of a `grpc-status`.
pub fn grpc(status: Option<&[u8]>) -> &'static str {
    let number = status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<usize>().ok());
    number.and_then(|number| GRPC.get(number).copied()).unwrap_or(NONE)
}

/// The class of a `:status`.
pub fn http(status: Option<&[u8]>) -> &'static str {
    match status {
        Some([class @ b'1'..=b'5', b'0'..=b'9', b'0'..=b'9']) => HTTP[usize::from(class - b'1')],
        _ => NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_grpc_has_its_name() {
        for (status, name) in [("0", "OK"), ("14", "UNAVAILABLE"), ("16", "UNAUTHENTICATED")] {
            assert_eq!(name, grpc(Some(status.as_bytes())));
        }
    }

    #[test]
    fn a_status_of_http_has_its_class() {
        for (status, class) in [("100", "1xx"), ("204", "2xx"), ("404", "4xx"), ("599", "5xx")] {
            assert_eq!(class, http(Some(status.as_bytes())));
        }
    }

    #[test]
    fn whatever_else_an_endpoint_sends_has_one_name() {
        for status in ["", "17", "-1", "OK", "600", "2000", "2x0", "099999999999999999999999"] {
            assert_eq!("none", grpc(Some(status.as_bytes())), "{status}");
            assert_eq!("none", http(Some(status.as_bytes())), "{status}");
        }
        assert_eq!(("none", "none"), (grpc(None), http(None)));
    }
}
