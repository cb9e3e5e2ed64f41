//! A stream without Envoy, for the tests.

use crate::filter::Stream;
use crate::metrics::{CounterId, HistogramId, Registry};
use crate::route::RouteConfig;

type Headers = Vec<(String, String)>;

#[derive(Debug, Default)]
pub struct FakeStream {
    pub request: Headers,
    pub response: Headers,
    /// What the running body hook received.
    pub received: Vec<u8>,
    /// How much of it lies in one piece; None is all of it.
    pub piece: Option<usize>,
    pub counted: Vec<(CounterId, String)>,
    pub recorded: Vec<(HistogramId, u64)>,
    pub route: Option<RouteConfig>,
    pub responses: Vec<Vec<u8>>,
    /// Whether the access log leaves it out.
    pub unlogged: bool,
    pub trailers: Headers,
    /// How often the response's body was dropped.
    pub dropped: usize,
}

impl FakeStream {
    /// A response trailer that was set, by its place.
    pub fn trailer(&self, place: usize) -> Option<(&str, &str)> {
        self.trailers.get(place).map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A registry that gives each counter its place among the names, a label in brackets.
#[derive(Default)]
pub struct Names(pub Vec<String>);

impl Registry for Names {
    fn define_counter(&mut self, name: &str) -> Result<CounterId, String> {
        self.0.push(name.to_owned());
        Ok(CounterId(self.0.len() - 1))
    }

    fn define_labelled_counter(&mut self, name: &str, label: &str) -> Result<CounterId, String> {
        self.define_counter(&format!("{name}[{label}]"))
    }

    fn define_histogram(&mut self, name: &str) -> Result<HistogramId, String> {
        Ok(HistogramId(self.define_counter(name)?.0))
    }
}

pub fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A gRPC request for a call of Milvus.
pub fn grpc_request(method: &str) -> FakeStream {
    let path = format!("/milvus.proto.milvus.MilvusService/{method}");
    let request = headers(&[(":path", &path), ("content-type", "application/grpc")]);
    FakeStream { request, ..FakeStream::default() }
}

fn find<'a>(headers: &'a Headers, name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_bytes())
}

impl Stream for FakeStream {
    fn request_header(&self, name: &str) -> Option<&[u8]> {
        find(&self.request, name)
    }

    fn route_config(&self) -> Option<&RouteConfig> {
        self.route.as_ref()
    }

    fn leave_out_of_log(&mut self) {
        self.unlogged = true;
    }

    fn respond(&mut self, message: &[u8]) {
        self.responses.push(message.to_vec());
    }

    fn response_header(&self, name: &str) -> Option<&[u8]> {
        find(&self.response, name)
    }

    fn set_response_header(&mut self, name: &str, value: &str) {
        self.remove_response_header(name);
        self.response.push((name.to_owned(), value.to_owned()));
    }

    fn remove_response_header(&mut self, name: &str) {
        self.response.retain(|(key, _)| key != name);
    }

    fn response_trailer(&self, name: &str) -> Option<&[u8]> {
        find(&self.trailers, name)
    }

    fn response_body_start(&self) -> &[u8] {
        &self.received[..self.received.len().min(self.piece.unwrap_or(usize::MAX))]
    }

    fn copy_response_body(&self, head: &mut Vec<u8>, limit: usize) {
        let room = limit.saturating_sub(head.len());
        head.extend(self.received.iter().take(room));
    }

    fn drop_response_body(&mut self) {
        self.dropped += 1;
    }

    fn set_response_trailer(&mut self, name: &str, value: &str) {
        self.trailers.push((name.to_owned(), value.to_owned()));
    }

    fn count(&mut self, counter: CounterId) {
        self.counted.push((counter, String::new()));
    }

    fn count_label(&mut self, counter: CounterId, label: &str) {
        self.counted.push((counter, label.to_owned()));
    }

    fn record(&mut self, histogram: HistogramId, value: u64) {
        self.recorded.push((histogram, value));
    }
}
