//! The filter in a listener. Only the routes that turn it on have it: those that say something to it, and those of calls
//! whose marks are to be taken off. On all others it would cost each call as much as retries do.

#![forbid(unsafe_code)]

use crate::chance;
use crate::filter::{Action, Stream};
use crate::route::RouteConfig;

/// Answers a request whose route leads nowhere, and draws whether it is logged where its route is not always.
pub fn on_request_headers(stream: &mut impl Stream) -> Action {
    match stream.route_config() {
        Some(RouteConfig::LogRate(rate)) if !chance::happens(*rate) => {
            stream.leave_out_of_log();
        }
        Some(RouteConfig::LogRate(_)) | None => {}
        Some(RouteConfig::Answer(answer)) => {
            if let Some(message) = answer.message(stream) {
                stream.respond(&message);
                return Action::Hold;
            }
        }
    }
    Action::Continue
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::RouteAnswer;
    use crate::fake::{grpc_request, FakeStream};

    #[test]
    fn a_route_that_leads_nowhere_answers_connect_and_nothing_else() {
        let answer = RouteConfig::Answer(RouteAnswer::new("no"));
        for (method, action, answers) in
            [("Connect", Action::Hold, 1), ("Search", Action::Continue, 0)]
        {
            let mut stream = grpc_request(method);
            stream.route = Some(answer.clone());

            assert_eq!(action, on_request_headers(&mut stream));
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

            let action = on_request_headers(&mut stream);

            assert_eq!((Action::Continue, unlogged), (action, stream.unlogged), "{stream:?}");
        }
    }
}
