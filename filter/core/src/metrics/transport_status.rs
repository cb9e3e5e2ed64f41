//! How a response ended for its transport, as the value of a label: the status of gRPC or the class of that of HTTP. One of a
//! fixed set, whatever an endpoint sends. Milvus's own status is inside the message.

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
/// There is no status, or one that is not in the standard.
pub const NONE: &str = "none";
/// The status of most gRPC calls.
pub const GRPC_SUCCESS: &str = GRPC[0];
/// The status of most REST calls.
pub const HTTP_SUCCESS: &str = HTTP[1];

/// The label of a `grpc-status`.
pub fn of_grpc(status: Option<&[u8]>) -> &'static str {
    let number = status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<usize>().ok());
    number.and_then(|number| GRPC.get(number).copied()).unwrap_or(NONE)
}

/// The label of an HTTP `:status`: its class.
pub fn of_http(status: Option<&[u8]>) -> &'static str {
    match status {
        Some([class @ b'1'..=b'5', b'0'..=b'9', b'0'..=b'9']) => HTTP[usize::from(class - b'1')],
        _ => NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names by number, which hold for the control plane too.
    const STATUSES: &str = include_str!("../../../testdata/grpc_statuses.json");

    #[test]
    fn the_names_are_those_of_the_control_plane() {
        let names: Vec<&str> = STATUSES.split('"').skip(1).step_by(2).collect();
        assert_eq!(GRPC.as_slice(), names);
    }

    #[test]
    fn the_label_of_a_grpc_status_is_its_name() {
        for (status, name) in [("0", "OK"), ("14", "UNAVAILABLE"), ("16", "UNAUTHENTICATED")] {
            assert_eq!(name, of_grpc(Some(status.as_bytes())));
        }
    }

    #[test]
    fn the_label_of_an_http_status_is_its_class() {
        for (status, class) in [("100", "1xx"), ("204", "2xx"), ("404", "4xx"), ("599", "5xx")] {
            assert_eq!(class, of_http(Some(status.as_bytes())));
        }
    }

    #[test]
    fn everything_else_has_one_label() {
        for status in ["", "17", "-1", "OK", "600", "2000", "2x0", "099999999999999999999999"] {
            assert_eq!("none", of_grpc(Some(status.as_bytes())), "{status}");
            assert_eq!("none", of_http(Some(status.as_bytes())), "{status}");
        }
        assert_eq!(("none", "none"), (of_grpc(None), of_http(None)));
    }
}
