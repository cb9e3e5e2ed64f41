//! For which calls the filter notes what it reads: for all if the access log shows it, else for those that are traced.

use crate::host::request::Request;
use crate::wire::traceparent::is_sampled;

pub const TRACEPARENT: &str = "traceparent";

/// What is noted of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Every call, for the access log.
    pub all: bool,
    /// Calls that are traced, for their spans.
    pub traced: bool,
}

/// Whether one call is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noting {
    No,
    Yes,
    /// Not known yet: Envoy adds the header of a new trace once it has a connection to the endpoint.
    Unknown,
}

impl Noting {
    /// Decides by the header `traceparent`; `connected` says that Envoy has added it to the calls that it traces.
    pub fn new(notes: Notes, traceparent: Option<&[u8]>, connected: bool) -> Self {
        match notes {
            Notes { all: true, .. } => Self::Yes,
            Notes { traced: false, .. } => Self::No,
            _ if is_sampled(traceparent) => Self::Yes,
            _ if traceparent.is_none() && !connected => Self::Unknown,
            _ => Self::No,
        }
    }

    /// Decides what was not known before; says whether that is a yes.
    pub fn resolve(&mut self, stream: &impl Request) -> bool {
        if *self != Self::Unknown {
            return false;
        }
        let sampled = is_sampled(stream.request_header(TRACEPARENT));
        *self = if sampled { Self::Yes } else { Self::No };
        sampled
    }
}

/// Some headers of a call and, if calls are traced, `traceparent`. All at once, because Envoy looks at all headers to find one
/// that it does not know.
pub fn headers<'a>(
    stream: &'a impl Request,
    [first, second, third, fourth]: [&str; 4],
    notes: Notes,
) -> ([Option<&'a [u8]>; 4], Option<&'a [u8]>) {
    if !notes.traced {
        return (stream.request_headers([first, second, third, fourth]), None);
    }
    let [first, second, third, fourth, traceparent] =
        stream.request_headers([first, second, third, fourth, TRACEPARENT]);
    ([first, second, third, fourth], traceparent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::grpc_request;

    const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    #[test]
    fn a_call_is_noted_for_the_log_or_for_its_span() {
        for (all, traced, header, connected, expected) in [
            (true, false, None, true, Noting::Yes),
            (true, true, Some(UNSAMPLED), true, Noting::Yes),
            (false, false, Some(SAMPLED), true, Noting::No),
            (false, true, Some(SAMPLED), false, Noting::Yes),
            (false, true, Some(UNSAMPLED), false, Noting::No),
            (false, true, None, true, Noting::No),
            (false, true, None, false, Noting::Unknown),
        ] {
            let noting = Noting::new(Notes { all, traced }, header.map(str::as_bytes), connected);
            assert_eq!(expected, noting, "{all} {traced} {header:?} {connected}");
        }
    }

    #[test]
    fn what_was_unknown_is_decided_once() {
        let mut stream = grpc_request("Search");
        stream.request.push((TRACEPARENT.to_owned(), SAMPLED.to_owned()));
        for (before, says, after) in [
            (Noting::Unknown, true, Noting::Yes),
            (Noting::Yes, false, Noting::Yes),
            (Noting::No, false, Noting::No),
        ] {
            let mut noting = before;
            assert_eq!((says, after), (noting.resolve(&stream), noting));
        }
        stream.request.pop();
        let mut noting = Noting::Unknown;
        assert_eq!((false, Noting::No), (noting.resolve(&stream), noting));
    }

    #[test]
    fn the_header_of_a_trace_is_read_if_calls_are_traced() {
        let mut stream = grpc_request("Search");
        stream.request.push((TRACEPARENT.to_owned(), SAMPLED.to_owned()));
        for traced in [false, true] {
            let notes = Notes { all: false, traced };
            let ([path, ..], found) = headers(&stream, [":path", "a", "b", "c"], notes);
            assert_eq!(traced.then_some(SAMPLED.as_bytes()), found);
            assert!(path.is_some());
        }
    }
}
