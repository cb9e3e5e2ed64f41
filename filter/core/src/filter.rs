//! The filter's roles, and which hook of Envoy does what in each.

use crate::cache;
use crate::calls;
use crate::calls::pool::PoolCalls;
use crate::config::{Config, Mode, UserNaming};
use crate::endpoint::attempt::{Api, Attempt, Pool};
use crate::host::body::{RequestBody, ResponseBody};
use crate::host::clock::{BootTime, Clock};
use crate::host::counters::{Counters, Registry};
use crate::host::own_call::{Caller, OwnCallId};
use crate::host::request::{
    AccessLog, Connected, Destination, Request, Routed, StreamNote, Upstream,
};
use crate::host::response::{LocalReply, Response};
use crate::host::wake::Wakeable;
use crate::host::{Action, Verdict};
use crate::listener::{Listener, RouteConfig, Settings};
use crate::mark;
use crate::metrics::attempts::AttemptMetrics;
use crate::metrics::gate::GateMetrics;
use crate::metrics::transport_status;
use crate::milvus::call::Call;
use crate::milvus::caller::{HashKey, Naming, Users};
use crate::noting::Notes;

/// One HTTP stream while a hook runs: all ports together.
pub trait Stream:
    Request
    + Connected
    + Destination
    + Routed<RouteConfig>
    + Upstream
    + AccessLog
    + StreamNote
    + RequestBody
    + Response
    + ResponseBody
    + Counters
    + Clock
    + Wakeable
    + Caller
{
}

impl<T> Stream for T where
    T: Request
        + Connected
        + Destination
        + Routed<RouteConfig>
        + Upstream
        + AccessLog
        + StreamNote
        + RequestBody
        + Response
        + ResponseBody
        + Counters
        + Clock
        + Wakeable
        + Caller
{
}

/// A configured filter: what all its streams share.
#[derive(Clone, Debug)]
pub enum Factory {
    Listener(Settings),
    Endpoint(Pool),
    Report,
}

impl Factory {
    /// Prepares the filter for its place. An error makes Envoy reject the configuration.
    pub fn new(config: Config, registry: &mut impl Registry) -> Result<Self, String> {
        let notes = Notes { all: config.log, traced: config.trace };
        let api = match config.mode {
            Mode::Downstream => {
                let metrics = GateMetrics::define(registry)?;
                let users = users(&config)?;
                return Ok(Self::Listener(Settings { metrics, users, notes }));
            }
            Mode::Report => return Ok(Self::Report),
            Mode::Upstream => Api::Grpc,
            Mode::RestUpstream => Api::Rest,
        };
        let rest = api == Api::Rest;
        let success =
            if rest { transport_status::HTTP_SUCCESS } else { transport_status::GRPC_SUCCESS };
        let served = |call| (call == Call::Rest) == rest;
        let metrics = AttemptMetrics::define(registry, served, success)?;
        let calls = config.pool.as_deref().map(PoolCalls::named);
        Ok(Self::Endpoint(Pool { api, notes, users: users(&config)?, metrics, calls }))
    }

    /// Makes the filter of one stream.
    pub fn stream_filter(&self) -> Filter<'_> {
        match self {
            Self::Listener(settings) => Filter::Listener(Listener::new(settings)),
            Self::Endpoint(pool) => Filter::Endpoint(Attempt::new(pool)),
            Self::Report => Filter::Report,
        }
    }
}

/// How users are named. The key of the hashes is read here and nowhere else: it is in no configuration, which others
/// may be shown.
fn users(config: &Config) -> Result<Users, String> {
    let naming = match config.users {
        UserNaming::Names => Naming::Names,
        UserNaming::Hashed => Naming::Hashed,
        UserNaming::Nobody => Naming::Nobody,
    };
    let Some(file) = &config.user_key else { return Ok(Users { naming, key: HashKey::random() }) };
    let bytes = std::fs::read(file)
        .map_err(|error| format!("the key of users, {file}, cannot be read: {error}"))?;
    let key = bytes.try_into().map(HashKey::new);
    let length = HashKey::LENGTH;
    let key = key.map_err(|_| format!("the key of users, {file}, does not have {length} bytes"))?;
    Ok(Users { naming, key })
}

/// What was counted of calls, and what the caches hold and have done.
fn report(now: BootTime) -> String {
    let mut json = "{".to_owned();
    calls::report::write(&mut json);
    json.push(',');
    cache::report::write(&mut json, now);
    json.push('}');
    json
}

/// The filter of one stream. It borrows its factory: a reference count would be written by all of Envoy's threads for
/// every call.
#[derive(Debug)]
pub enum Filter<'factory> {
    Listener(Listener<'factory>),
    Endpoint(Attempt<'factory>),
    Report,
}

impl Filter<'_> {
    /// `end` says that the request has no body; the same below.
    pub fn on_request_headers(&mut self, stream: &mut impl Stream, end: bool) -> Verdict {
        match self {
            Self::Listener(filter) => filter.on_request_headers(stream, end),
            Self::Endpoint(filter) => {
                filter.on_request_headers(stream);
                Verdict::Continue
            }
            Self::Report => {
                let body = report(stream.boot_time());
                Verdict::Reply(LocalReply::Json { status: 200, retry_after: None, body })
            }
        }
    }

    pub fn on_request_body(&mut self, stream: &mut impl Stream, end: bool) -> Verdict {
        match self {
            Self::Listener(filter) => filter.on_request_body(stream, end),
            Self::Endpoint(filter) => {
                filter.on_request_body(stream, end);
                Verdict::Continue
            }
            Self::Report => Verdict::Continue,
        }
    }

    pub fn on_request_trailers(&mut self, stream: &mut impl Stream) -> Verdict {
        match self {
            Self::Listener(filter) => filter.on_request_trailers(stream),
            Self::Endpoint(_) | Self::Report => Verdict::Continue,
        }
    }

    /// A stream that asked for it has been woken. `Continue` passes on what is held of the request.
    pub fn on_wake(&mut self, stream: &mut impl Stream) -> Verdict {
        match self {
            Self::Listener(filter) => filter.on_wake(stream),
            Self::Endpoint(_) | Self::Report => Verdict::Hold,
        }
    }

    /// A call of the filter's own has ended, with this body of an answer, or with none. `Continue` as in `on_wake`.
    pub fn on_own_call_done(
        &mut self,
        stream: &mut impl Stream,
        id: OwnCallId,
        answer: Option<&[u8]>,
    ) -> Verdict {
        match self {
            Self::Listener(filter) => filter.on_own_call_done(stream, id, answer),
            Self::Endpoint(_) | Self::Report => Verdict::Hold,
        }
    }

    pub fn on_response_headers(&mut self, stream: &mut impl Stream, end: bool) -> Action {
        match self {
            Self::Listener(filter) => {
                let action = filter.on_response_headers(stream, end);
                mark::unmark(stream, end);
                action
            }
            Self::Endpoint(filter) => filter.on_response_headers(stream, end),
            Self::Report => Action::Continue,
        }
    }

    pub fn on_response_body(&mut self, stream: &mut impl Stream, end: bool) -> Action {
        match self {
            Self::Listener(filter) => filter.on_response_body(stream, end),
            Self::Endpoint(filter) => filter.on_response_body(stream, end),
            Self::Report => Action::Continue,
        }
    }

    pub fn on_response_trailers(&mut self, stream: &mut impl Stream) {
        match self {
            Self::Listener(filter) => filter.on_response_trailers(stream),
            Self::Endpoint(filter) => filter.on_response_trailers(stream),
            Self::Report => {}
        }
    }

    pub fn on_stream_complete(&mut self, stream: &mut impl Stream) {
        if let Self::Listener(filter) = self {
            filter.on_stream_complete(stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::counters::{CounterId, GaugeId, HistogramId};
    use crate::host::fake::{grpc_request, headers, FakeStream, Names};

    fn config(mode: Mode) -> Config {
        let users = UserNaming::Names;
        Config { mode, log: false, trace: false, pool: None, users, user_key: None }
    }

    fn factory(mode: Mode) -> Factory {
        Factory::new(config(mode), &mut Names::default()).unwrap()
    }

    #[test]
    fn only_the_filter_of_an_endpoint_counts() {
        for (mode, counted) in [(Mode::Downstream, 0), (Mode::Upstream, 1), (Mode::RestUpstream, 1)]
        {
            let mut stream = grpc_request("Search");

            factory(mode).stream_filter().on_request_headers(&mut stream, false);

            assert_eq!(counted, stream.counted.len(), "{mode:?}");
        }
    }

    /// A response that says "not ready", after the filters of the given modes.
    fn filtered(method: &str, modes: &[Mode]) -> FakeStream {
        let mut stream = grpc_request(method);
        stream.response = headers(&[(":status", "200"), ("content-type", "application/grpc")]);
        stream.received = vec![0, 0, 0, 0, 6, 0x0a, 4, 0x08, 56, 0x18, 1]; // status {error_code: NotReadyServe, code: 1}
        for mode in modes {
            let factory = factory(*mode);
            let mut filter = factory.stream_filter();
            filter.on_request_headers(&mut stream, false);
            filter.on_response_headers(&mut stream, false);
            filter.on_response_body(&mut stream, false);
            filter.on_response_trailers(&mut stream);
        }
        stream
    }

    #[test]
    fn the_endpoint_filter_marks_a_write_and_the_listener_filter_unmarks_it() {
        let original = headers(&[(":status", "200"), ("content-type", "application/grpc")]);

        assert_ne!(original, filtered("Insert", &[Mode::Upstream]).response);

        let stream = filtered("Insert", &[Mode::Upstream, Mode::Downstream]);

        assert_eq!((original, 0), (stream.response, stream.dropped));
        assert!(stream.trailers.is_empty());
    }

    #[test]
    fn a_read_that_is_not_ready_ends_with_its_status_and_no_message() {
        for modes in [&[Mode::Upstream][..], &[Mode::Upstream, Mode::Downstream]] {
            let stream = filtered("Search", modes);

            assert_eq!(1, stream.dropped);
            assert_eq!(None, stream.response_header("kiteway-in-band"));
            assert_eq!(Some(("grpc-status", "14")), stream.trailer(0));
        }
    }

    #[test]
    fn the_report_replies_to_the_control_plane() {
        let mut stream = FakeStream::default();

        let verdict = factory(Mode::Report).stream_filter().on_request_headers(&mut stream, true);

        let Verdict::Reply(LocalReply::Json { status, body, .. }) = verdict else { panic!() };
        assert_eq!(200, status);
        assert!(body.starts_with("{\"bounds\":[500,"));
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
            fn define_labelled_histogram(
                &mut self,
                _: &str,
                _: &str,
            ) -> Result<HistogramId, String> {
                Err("frozen".to_owned())
            }
            fn define_labelled_gauge(&mut self, _: &str, _: &str) -> Result<GaugeId, String> {
                Err("frozen".to_owned())
            }
        }

        for mode in [Mode::Upstream, Mode::Downstream] {
            let error = Factory::new(config(mode), &mut Full).unwrap_err();

            assert_eq!("frozen", error);
        }
    }

    #[test]
    fn the_key_of_users_is_a_file_of_sixteen_bytes() {
        let file = std::env::temp_dir().join(format!("kiteway-key-{}", std::process::id()));
        let configured = || {
            let user_key = Some(file.to_str().unwrap().to_owned());
            let config = Config { user_key, ..config(Mode::Upstream) };
            Factory::new(config, &mut Names::default())
        };
        let mut outcomes = Vec::new();
        for key in [None, Some(&[7; 15][..]), Some(&[7; 16])] {
            if let Some(bytes) = key {
                std::fs::write(&file, bytes).unwrap();
            }
            outcomes
                .push(configured().map(|_| ()).map_err(|error| error.contains("cannot be read")));
        }
        std::fs::remove_file(&file).unwrap();

        assert_eq!([Err(true), Err(false), Ok(())], outcomes[..]);
    }
}
