//! What the filter in a listener does with a request.

use crate::host::request::{AccessLog, Request, Routed};
use crate::host::response::LocalReply;
use crate::host::Verdict;
use crate::listener::route::RouteConfig;
use crate::listener::sampling::sampled;

/// Replies to a request whose route leads nowhere, and decides whether a request is logged whose route logs a share.
pub fn on_request_headers(
    stream: &mut (impl Request + Routed<RouteConfig> + AccessLog),
) -> Verdict {
    let Some(config) = stream.route_config() else { return Verdict::Continue };
    let unlogged = config.log_rate.is_some_and(|rate| !sampled(rate));
    let reply = config.connect_reply.as_ref().and_then(|reply| reply.message(stream));
    if unlogged {
        stream.leave_out_of_log();
    }
    reply.map_or(Verdict::Continue, |message| Verdict::Reply(LocalReply::Message(message)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::{grpc_request, FakeStream};
    use crate::listener::connect_reply::ConnectReply;

    fn on_route(method: &str, config: RouteConfig) -> (Verdict, FakeStream) {
        let mut stream = grpc_request(method);
        stream.route = Some(Box::new(config));
        let verdict = on_request_headers(&mut stream);
        (verdict, stream)
    }

    #[test]
    fn a_route_that_leads_nowhere_replies_to_connect_and_to_nothing_else() {
        for (method, replies) in [("Connect", true), ("Search", false)] {
            let connect_reply = Some(ConnectReply::new("no"));
            let config = RouteConfig { connect_reply, ..RouteConfig::default() };
            let (verdict, stream) = on_route(method, config);

            assert_eq!(
                replies,
                matches!(verdict, Verdict::Reply(LocalReply::Message(_))),
                "{method}"
            );
            assert!(replies || verdict == Verdict::Continue);
            assert!(!stream.unlogged);
        }
    }

    #[test]
    fn a_route_logs_all_requests_or_a_share() {
        for (log_rate, unlogged) in [(None, false), (Some(1.0), false), (Some(0.0), true)] {
            let config = RouteConfig { log_rate, ..RouteConfig::default() };
            let (verdict, stream) = on_route("Search", config);

            assert_eq!((Verdict::Continue, unlogged), (verdict, stream.unlogged), "{stream:?}");
        }
    }

    #[test]
    fn a_route_may_do_both() {
        let connect_reply = Some(ConnectReply::new("no"));
        let config = RouteConfig { connect_reply, log_rate: Some(0.0), policy: None };
        let (verdict, stream) = on_route("Connect", config);

        assert!(matches!(verdict, Verdict::Reply(_)) && stream.unlogged);
    }

    #[test]
    fn without_a_configuration_a_request_is_passed_on_and_logged() {
        let mut stream = grpc_request("Connect");

        assert_eq!(Verdict::Continue, on_request_headers(&mut stream));
        assert!(!stream.unlogged);
    }
}
