//! What the filter does with one HTTP stream: which of its two roles it plays, and what each may ask
//! of Envoy.

#![forbid(unsafe_code)]

use crate::config::{Config, Mode};
use crate::downstream;
use crate::in_band;
use crate::metrics::{Attempts, CounterId, HistogramId, Registry};
use crate::outcome;
use crate::route::RouteConfig;
use crate::rpc::Call;
use crate::upstream::{Upstream, Watch};

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
    /// The first value of a response trailer; only while trailers are handled.
    fn response_trailer(&self, name: &str) -> Option<&[u8]>;
    /// The beginning of what the running body hook received: as much of it as lies in one piece.
    fn response_body_start(&self) -> &[u8];
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
    /// Records a value.
    fn record(&mut self, histogram: HistogramId, value: u64);
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
    Downstream,
    Upstream(Watch, Attempts),
}

impl Factory {
    /// Prepares the filter for its place. An error makes Envoy reject the configuration.
    pub fn new(config: Config, registry: &mut impl Registry) -> Result<Self, String> {
        let watch = match config.mode {
            Mode::Downstream => return Ok(Self::Downstream),
            Mode::Upstream => Watch::Grpc,
            Mode::RestUpstream => Watch::Rest,
        };
        let rest = watch == Watch::Rest;
        let success = if rest { outcome::HTTP_SUCCESS } else { outcome::GRPC_SUCCESS };
        let attempts = Attempts::define(registry, |call| (call == Call::Rest) == rest, success)?;
        Ok(Self::Upstream(watch, attempts))
    }

    /// Makes the filter of one stream.
    pub fn stream_filter(&self) -> Filter<'_> {
        match self {
            Self::Downstream => Filter::Downstream,
            Self::Upstream(watch, attempts) => Filter::Upstream(Upstream::new(*watch, attempts)),
        }
    }
}

/// The filter of one stream. It borrows its factory: a count of its own would be written by all of Envoy's
/// threads for every call.
#[derive(Debug)]
pub enum Filter<'factory> {
    Downstream,
    Upstream(Upstream<'factory>),
}

impl Filter<'_> {
    pub fn on_request_headers(&mut self, stream: &mut impl Stream) -> Action {
        match self {
            Self::Downstream => downstream::on_request_headers(stream),
            Self::Upstream(filter) => {
                filter.on_request_headers(stream);
                Action::Continue
            }
        }
    }

    pub fn on_response_headers(&mut self, stream: &mut impl Stream, end: bool) -> Action {
        match self {
            Self::Downstream => {
                in_band::unmark(stream, end);
                Action::Continue
            }
            Self::Upstream(filter) => filter.on_response_headers(stream, end),
        }
    }

    pub fn on_response_body(&mut self, stream: &mut impl Stream, end: bool) -> Action {
        match self {
            Self::Downstream => Action::Continue,
            Self::Upstream(filter) => filter.on_response_body(stream, end),
        }
    }

    pub fn on_response_trailers(&mut self, stream: &mut impl Stream) {
        if let Self::Upstream(filter) = self {
            filter.on_response_trailers(stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{grpc_request, headers, FakeStream, Names};

    fn factory(mode: Mode) -> Factory {
        Factory::new(Config { mode }, &mut Names::default()).unwrap()
    }

    #[test]
    fn only_what_sees_attempts_counts() {
        for (mode, counted) in [(Mode::Downstream, 0), (Mode::Upstream, 1), (Mode::RestUpstream, 1)]
        {
            let mut stream = grpc_request("Search");

            factory(mode).stream_filter().on_request_headers(&mut stream);

            assert_eq!(counted, stream.counted.len(), "{mode:?}");
        }
    }

    /// What is left of an answer that says "not ready", with the filters of the given modes.
    fn answered(method: &str, modes: &[Mode]) -> FakeStream {
        let mut stream = grpc_request(method);
        stream.response = headers(&[(":status", "200"), ("content-type", "application/grpc")]);
        stream.received = vec![0, 0, 0, 0, 4, 0x0a, 2, 0x18, 1]; // status {code: 1}
        for mode in modes {
            let factory = factory(*mode);
            let mut filter = factory.stream_filter();
            filter.on_request_headers(&mut stream);
            filter.on_response_headers(&mut stream, false);
            filter.on_response_body(&mut stream, false);
            filter.on_response_trailers(&mut stream);
        }
        stream
    }

    #[test]
    fn upstream_marks_a_write_and_downstream_unmarks_it() {
        let original = headers(&[(":status", "200"), ("content-type", "application/grpc")]);

        assert_ne!(original, answered("Insert", &[Mode::Upstream]).response);

        let stream = answered("Insert", &[Mode::Upstream, Mode::Downstream]);

        assert_eq!((original, 0), (stream.response, stream.dropped));
        assert!(stream.trailers.is_empty());
    }

    #[test]
    fn a_read_that_is_not_ready_ends_with_its_status_and_no_message() {
        for modes in [&[Mode::Upstream][..], &[Mode::Upstream, Mode::Downstream]] {
            let stream = answered("Search", modes);

            assert_eq!(1, stream.dropped);
            assert_eq!(None, stream.response_header("kiteway-in-band"));
            assert_eq!(Some(("grpc-status", "14")), stream.trailer(0));
        }
    }

    #[test]
    fn a_metric_that_cannot_be_made_is_an_error() {
        struct Full;
        impl Registry for Full {
            fn define_counter(&mut self, _: &str) -> Result<CounterId, String> {
                Err("frozen".to_owned())
            }
            fn define_labelled_counter(&mut self, _: &str, _: &str) -> Result<CounterId, String> {
                Err("frozen".to_owned())
            }
            fn define_histogram(&mut self, _: &str) -> Result<HistogramId, String> {
                Err("frozen".to_owned())
            }
        }

        let error = Factory::new(Config { mode: Mode::Upstream }, &mut Full).unwrap_err();

        assert_eq!("frozen", error);
    }
}
