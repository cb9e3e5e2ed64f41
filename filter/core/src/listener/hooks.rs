//! What the filter in a listener does with a request.

use crate::host::request::{AccessLog, Request, Routed};
use crate::host::response::Reply;
use crate::host::Action;
use crate::listener::route::RouteConfig;
use crate::listener::sampling::sampled;

/// Replies to a request whose route leads nowhere, and decides whether a request is logged whose route logs a share.
pub fn on_request_headers(
    stream: &mut (impl Request + Routed<RouteConfig> + AccessLog + Reply),
) -> Action {
    match stream.route_config() {
        Some(RouteConfig::LogRate(rate)) if !sampled(*rate) => {
            stream.leave_out_of_log();
        }
        Some(RouteConfig::LogRate(_)) | None => {}
        Some(RouteConfig::Answer(answer)) => {
            if let Some(message) = answer.message(stream) {
                stream.reply(&message);
                return Action::Hold;
            }
        }
    }
    Action::Continue
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::grpc_request;
    use crate::listener::connect_reply::ConnectReply;

    #[test]
    fn a_route_that_leads_nowhere_answers_connect_and_nothing_else() {
        let answer = RouteConfig::Answer(ConnectReply::new("no"));
        for (method, action, answers) in
            [("Connect", Action::Hold, 1), ("Search", Action::Continue, 0)]
        {
            let mut stream = grpc_request(method);
            stream.route = Some(Box::new(answer.clone()));

            assert_eq!(action, on_request_headers(&mut stream));
            assert_eq!(answers, stream.replies.len(), "{method}");
        }
    }

    #[test]
    fn the_route_says_how_often_a_request_is_logged() {
        for (rate, unlogged) in [(None, false), (Some(1.0), false), (Some(0.0), true)] {
            let mut stream = grpc_request("Search");
            if let Some(rate) = rate {
                stream.route = Some(Box::new(RouteConfig::LogRate(rate)));
            }

            let action = on_request_headers(&mut stream);

            assert_eq!((Action::Continue, unlogged), (action, stream.unlogged), "{stream:?}");
        }
    }
}
