//! What the filter does with one HTTP stream: which of its two roles it plays, and what each may ask
//! of Envoy.

#![forbid(unsafe_code)]

use crate::config::{Config, Mode};
use crate::downstream::Downstream;
use crate::metrics::{CounterId, Registry, Requests, NOT_READY, RPC_LABEL};
use crate::route::RouteConfig;
use crate::upstream::Upstream;

/// What Envoy offers for one HTTP stream while a hook runs.
pub trait Stream {
    /// The first value of a request header.
    fn request_header(&self, name: &str) -> Option<&[u8]>;

    /// What the request's route says to the filter, if anything.
    fn route_config(&self) -> Option<&RouteConfig>;

    /// Keeps the request out of the access log.
    fn leave_out_of_log(&mut self);

    /// Answers a gRPC call with one framed message and status OK; nothing of the request goes on.
    fn respond(&mut self, message: &[u8]);

    /// The first value of a response header.
    fn response_header(&self, name: &str) -> Option<&[u8]>;

    /// Sets a response header, replacing every value it has. Works until the headers are let go.
    fn set_response_header(&mut self, name: &str, value: &str);

    /// Removes a response header.
    fn remove_response_header(&mut self, name: &str);

    /// Appends to `head` what the running body hook received, until `head` is `limit` bytes long.
    fn copy_response_body(&self, head: &mut Vec<u8>, limit: usize);

    /// Drops what has come of the response's body and is not passed on yet.
    fn drop_response_body(&mut self);

    /// Sets a response trailer; only while trailers are handled.
    fn set_response_trailer(&mut self, name: &str, value: &str);

    /// Adds one to the counter.
    fn count(&mut self, counter: CounterId);

    /// Adds one to the labelled counter's `label`.
    fn count_label(&mut self, counter: CounterId, label: &str);
}

/// What becomes of the headers or body a hook has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// They go on, after whatever was held.
    Continue,
    /// They are held until a later hook of the stream says `Continue`.
    Hold,
}

/// A configured filter: what all its streams share.
#[derive(Clone, Debug)]
pub enum Factory {
    Downstream(Requests),
    Upstream { not_ready: CounterId, hedged: bool },
}

impl Factory {
    /// Prepares the filter for its place. An error makes Envoy reject the configuration.
    pub fn new(config: Config, registry: &mut impl Registry) -> Result<Self, String> {
        match config.mode {
            Mode::Downstream => Ok(Self::Downstream(Requests::define(registry)?)),
            Mode::Upstream | Mode::HedgedUpstream => Ok(Self::Upstream {
                not_ready: registry.define_labelled_counter(NOT_READY, RPC_LABEL)?,
                hedged: config.mode == Mode::HedgedUpstream,
            }),
        }
    }

    /// Makes the filter of one stream.
    pub fn stream_filter(&self) -> Filter {
        match self {
            Self::Downstream(requests) => Filter::Downstream(Downstream::new(requests.clone())),
            Self::Upstream { not_ready, hedged } => {
                Filter::Upstream(Upstream::new(*not_ready, *hedged))
            }
        }
    }
}

/// The filter of one stream.
#[derive(Debug)]
pub enum Filter {
    Downstream(Downstream),
    Upstream(Upstream),
}

impl Filter {
    pub fn on_request_headers(&mut self, stream: &mut impl Stream) -> Action {
        match self {
            Self::Downstream(filter) => filter.on_request_headers(stream),
            Self::Upstream(filter) => {
                filter.on_request_headers(stream);
                Action::Continue
            }
        }
    }

    pub fn on_response_headers(&mut self, stream: &mut impl Stream, end: bool) -> Action {
        match self {
            Self::Downstream(_) => {
                Downstream::on_response_headers(stream, end);
                Action::Continue
            }
            Self::Upstream(filter) => filter.on_response_headers(end),
        }
    }

    pub fn on_response_body(&mut self, stream: &mut impl Stream, end: bool) -> Action {
        match self {
            Self::Downstream(_) => Action::Continue,
            Self::Upstream(filter) => filter.on_response_body(stream, end),
        }
    }

    pub fn on_response_trailers(&mut self, stream: &mut impl Stream) {
        match self {
            Self::Downstream(_) => {}
            Self::Upstream(filter) => filter.on_response_trailers(stream),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{grpc_request, headers, Names};

    #[test]
    fn upstream_defines_the_counter_it_counts_in() {
        let mut names = Names::default();

        Factory::new(Config { mode: Mode::Upstream }, &mut names).unwrap();

        assert_eq!(vec!["not_ready_total[rpc]".to_owned()], names.0);
    }

    fn filter(mode: Mode) -> Filter {
        Factory::new(Config { mode }, &mut Names::default()).unwrap().stream_filter()
    }

    #[test]
    fn upstream_marks_what_downstream_unmarks() {
        let mut stream = grpc_request("HasCollection");
        let original = headers(&[(":status", "200"), ("content-type", "application/grpc")]);
        stream.response = original.clone();
        stream.received = vec![0, 0, 0, 0, 4, 0x0a, 2, 0x18, 1]; // status {code: 1}
        let (mut upstream, mut downstream) = (filter(Mode::Upstream), filter(Mode::Downstream));
        upstream.on_request_headers(&mut stream);

        assert_eq!(Action::Hold, upstream.on_response_headers(&mut stream, false));
        assert_eq!(Action::Continue, upstream.on_response_body(&mut stream, false));
        assert_ne!(original, stream.response);
        assert_eq!(Action::Continue, downstream.on_response_headers(&mut stream, false));
        assert_eq!(Action::Continue, downstream.on_response_body(&mut stream, false));

        assert_eq!(original, stream.response);
    }

    #[test]
    fn a_hedged_read_that_is_not_ready_ends_with_its_status_and_no_message() {
        let mut stream = grpc_request("Search");
        stream.response = headers(&[(":status", "200"), ("content-type", "application/grpc")]);
        stream.received = vec![0, 0, 0, 0, 4, 0x0a, 2, 0x18, 1]; // status {code: 1}
        let mut filters = [filter(Mode::HedgedUpstream), filter(Mode::Downstream)];
        filters[0].on_request_headers(&mut stream);

        for filter in &mut filters {
            filter.on_response_headers(&mut stream, false);
            filter.on_response_body(&mut stream, false);
            filter.on_response_trailers(&mut stream);
        }

        assert_eq!(1, stream.dropped);
        assert_eq!(None, stream.response_header("grpc-status"));
        assert_eq!(Some(("grpc-status", "14")), stream.trailer(0));
    }

    #[test]
    fn only_downstream_counts_requests() {
        let mut stream = grpc_request("Search");

        filter(Mode::Upstream).on_request_headers(&mut stream);
        assert!(stream.counted.is_empty());
        filter(Mode::Downstream).on_request_headers(&mut stream);

        assert_eq!(1, stream.counted.len());
    }

    #[test]
    fn a_counter_that_cannot_be_made_is_an_error() {
        struct Full;
        impl Registry for Full {
            fn define_counter(&mut self, _: &str) -> Result<CounterId, String> {
                Err("frozen".to_owned())
            }

            fn define_labelled_counter(&mut self, _: &str, _: &str) -> Result<CounterId, String> {
                Err("frozen".to_owned())
            }
        }

        let error = Factory::new(Config { mode: Mode::Downstream }, &mut Full).unwrap_err();

        assert_eq!("frozen", error);
    }
}
