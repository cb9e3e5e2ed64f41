//! What the filter does with one HTTP stream.

#![forbid(unsafe_code)]

use crate::config::{Config, Mode};
use crate::metrics::{CounterId, Registry, REQUESTS, RPC_LABEL};
use crate::rpc::Call;

/// What Envoy offers for one HTTP stream while a hook runs.
pub trait Stream {
    /// The first value of a request header.
    fn request_header(&self, name: &str) -> Option<&[u8]>;

    /// Adds one to the counter's `label`.
    fn count(&mut self, counter: CounterId, label: &str);
}

/// A configured filter: what all its streams share.
#[derive(Clone, Copy, Debug)]
pub struct Factory {
    requests: CounterId,
}

impl Factory {
    /// Prepares the filter for its place. An error makes Envoy reject the configuration.
    pub fn new(config: Config, registry: &mut impl Registry) -> Result<Self, String> {
        match config.mode {
            Mode::Downstream => {
                Ok(Self { requests: registry.define_counter(REQUESTS, RPC_LABEL)? })
            }
        }
    }

    /// Makes the filter of one stream.
    pub fn stream_filter(&self) -> Filter {
        Filter { requests: self.requests }
    }
}

/// The filter of one stream.
#[derive(Debug)]
pub struct Filter {
    requests: CounterId,
}

impl Filter {
    pub fn on_request_headers(&mut self, stream: &mut impl Stream) {
        let path = stream.request_header(":path").unwrap_or_default();
        let content_type = stream.request_header("content-type").unwrap_or_default();
        let call = Call::of(path, content_type);
        stream.count(self.requests, call.label());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct FakeRegistry;

    impl Registry for FakeRegistry {
        fn define_counter(&mut self, name: &str, label: &str) -> Result<CounterId, String> {
            assert_eq!(("requests_total", "rpc"), (name, label));
            Ok(CounterId(7))
        }
    }

    struct FakeStream {
        headers: Vec<(&'static str, &'static str)>,
        counted: Vec<(CounterId, String)>,
    }

    impl Stream for FakeStream {
        fn request_header(&self, name: &str) -> Option<&[u8]> {
            let found = self.headers.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.as_bytes())
        }

        fn count(&mut self, counter: CounterId, label: &str) {
            self.counted.push((counter, label.to_owned()));
        }
    }

    fn counted(headers: &[(&'static str, &'static str)]) -> Vec<(CounterId, String)> {
        let config = Config { mode: Mode::Downstream };
        let mut filter = Factory::new(config, &mut FakeRegistry).unwrap().stream_filter();
        let mut stream = FakeStream { headers: headers.to_vec(), counted: Vec::new() };

        filter.on_request_headers(&mut stream);

        stream.counted
    }

    #[test]
    fn a_request_is_counted_once_by_its_call() {
        let headers = [
            (":path", "/milvus.proto.milvus.MilvusService/Query"),
            ("content-type", "application/grpc"),
        ];

        assert_eq!(vec![(CounterId(7), "Query".to_owned())], counted(&headers));
    }

    #[test]
    fn a_request_without_content_type_is_counted_as_rest() {
        assert_eq!(vec![(CounterId(7), "rest".to_owned())], counted(&[(":path", "/v2/vectordb")]));
    }

    #[test]
    fn a_request_without_path_is_counted_too() {
        let headers = [("content-type", "application/grpc")];

        assert_eq!(vec![(CounterId(7), "other".to_owned())], counted(&headers));
    }
}
