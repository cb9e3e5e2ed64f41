//! The filter in a listener: it sees each request of a client once.

#![forbid(unsafe_code)]

use crate::chance;
use crate::filter::{Action, Stream};
use crate::in_band;
use crate::metrics::Requests;
use crate::route::RouteConfig;
use crate::rpc::Call;

#[derive(Debug)]
pub struct Downstream {
    requests: Requests,
}

impl Downstream {
    pub fn new(requests: Requests) -> Self {
        Self { requests }
    }

    /// Counts the request by its call, answers it where its route leads nowhere, and draws whether it
    /// is logged where its route is not always.
    pub fn on_request_headers(&mut self, stream: &mut impl Stream) -> Action {
        let call = Call::of_request(stream);
        self.requests.count(call, stream);
        match stream.route_config() {
            Some(RouteConfig::LogRate(rate)) if !chance::happens(*rate) => {
                stream.leave_out_of_log();
            }
            Some(RouteConfig::LogRate(_)) | None => {}
            Some(RouteConfig::Answer(answer)) => {
                if let Some(message) = answer.message(call, stream) {
                    stream.respond(&message);
                    return Action::Hold;
                }
            }
        }
        Action::Continue
    }

    /// Takes off what the upstream filter said to the router.
    pub fn on_response_headers(stream: &mut impl Stream, end: bool) {
        in_band::unmark(stream, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::RouteAnswer;
    use crate::fake::{grpc_request, headers, FakeStream, Names};

    fn counters() -> Requests {
        Requests::define(&mut Names::default()).unwrap()
    }

    fn counted(mut stream: FakeStream) -> Vec<String> {
        let mut names = Names::default();
        let requests = Requests::define(&mut names).unwrap();
        Downstream::new(requests).on_request_headers(&mut stream);
        stream.counted.iter().map(|(counter, _)| names.0[counter.0].clone()).collect()
    }

    #[test]
    fn a_request_is_counted_once_by_its_call() {
        assert_eq!(vec!["requests_total.rpc.Query"], counted(grpc_request("Query")));
    }

    #[test]
    fn a_route_that_leads_nowhere_answers_connect_and_nothing_else() {
        let answer = RouteConfig::Answer(RouteAnswer::new("no"));
        for (method, action, answers) in
            [("Connect", Action::Hold, 1), ("Search", Action::Continue, 0)]
        {
            let mut stream = grpc_request(method);
            stream.route = Some(answer.clone());

            assert_eq!(action, Downstream::new(counters()).on_request_headers(&mut stream));

            assert_eq!(answers, stream.responses.len(), "{method}");
        }
    }

    #[test]
    fn the_route_says_how_often_a_request_is_logged() {
        for (route, unlogged) in [
            (None, false),
            (Some(RouteConfig::LogRate(1.0)), false),
            (Some(RouteConfig::LogRate(0.0)), true),
        ] {
            let mut stream = FakeStream { route, ..grpc_request("Search") };

            let action = Downstream::new(counters()).on_request_headers(&mut stream);

            assert_eq!((Action::Continue, unlogged), (action, stream.unlogged), "{stream:?}");
        }
    }

    #[test]
    fn a_request_without_content_type_is_counted_as_rest() {
        let request = headers(&[(":path", "/v2/vectordb")]);
        let stream = FakeStream { request, ..FakeStream::default() };

        assert_eq!(vec!["requests_total.rpc.rest"], counted(stream));
    }

    #[test]
    fn a_request_without_path_is_counted_too() {
        let request = headers(&[("content-type", "application/grpc")]);
        let stream = FakeStream { request, ..FakeStream::default() };

        assert_eq!(vec!["requests_total.rpc.other"], counted(stream));
    }
}
