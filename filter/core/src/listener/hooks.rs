//! What the filter in a listener does with a request.

use crate::host::request::{AccessLog, Connected, Destination, Request, Routed};
use crate::host::response::LocalReply;
use crate::listener::route::RouteConfig;
use crate::listener::sampling::sampled;
use crate::listener::server_name::route_by_server_name;

/// Replaces a route for hosts that nothing claims, if the server name leads elsewhere. Replies to `Connect` on a route that
/// leads nowhere, or to no healthy endpoint. Decides whether a request is logged whose route logs a share. Says whether the
/// route has a cache.
pub fn on_request_headers(
    stream: &mut (impl Request + Connected + Destination + Routed<RouteConfig> + AccessLog),
) -> Result<bool, LocalReply> {
    route_by_server_name(stream);
    let Some(config) = stream.route_config() else { return Ok(false) };
    let has_cache = config.cache.is_some();
    let unlogged = config.log_rate.is_some_and(|rate| !sampled(rate));
    let reply = config.connect_reply.as_ref().and_then(|reply| reply.message(stream));
    let reply = reply.or_else(|| {
        let reply = config.reply_without_endpoint.as_ref();
        reply.filter(|_| stream.has_no_healthy_endpoint()).and_then(|reply| reply.message(stream))
    });
    if unlogged {
        stream.leave_out_of_log();
    }
    reply.map_or(Ok(has_cache), |message| Err(LocalReply::Message(message)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::{grpc_request, FakeStream};
    use crate::listener::connect_reply::ConnectReply;

    fn on_route(method: &str, config: RouteConfig) -> (Result<bool, LocalReply>, FakeStream) {
        let mut stream = grpc_request(method);
        stream.route = Some(Box::new(config));
        let outcome = on_request_headers(&mut stream);
        (outcome, stream)
    }

    #[test]
    fn a_route_that_leads_nowhere_replies_to_connect_and_to_nothing_else() {
        for (method, replies) in [("Connect", true), ("Search", false)] {
            let connect_reply = Some(ConnectReply::new("no"));
            let config = RouteConfig { connect_reply, ..RouteConfig::default() };
            let (outcome, stream) = on_route(method, config);

            assert_eq!(replies, matches!(outcome, Err(LocalReply::Message(_))), "{method}");
            assert!(replies || outcome == Ok(false));
            assert!(!stream.unlogged);
        }
    }

    #[test]
    fn without_a_healthy_endpoint_connect_is_told_so() {
        for (method, without_endpoint, replies) in
            [("Connect", true, true), ("Connect", false, false), ("Search", true, false)]
        {
            let mut stream = grpc_request(method);
            stream.without_endpoint = without_endpoint;
            let reply_without_endpoint = Some(ConnectReply::new("none"));
            stream.route =
                Some(Box::new(RouteConfig { reply_without_endpoint, ..RouteConfig::default() }));

            assert_eq!(replies, on_request_headers(&mut stream).is_err(), "{method}");
        }
    }

    #[test]
    fn what_the_new_route_says_holds() {
        let mut stream = grpc_request("Connect");
        stream.request.push((":authority".to_owned(), "127.0.0.1".to_owned()));
        stream.server_name = Some("milvus.example.org".to_owned());
        let connect_reply = Some(ConnectReply::new("no"));
        let by_server_name = true;
        stream.route =
            Some(Box::new(RouteConfig { connect_reply, by_server_name, ..RouteConfig::default() }));

        assert_eq!(Ok(false), on_request_headers(&mut stream));
        assert_eq!(1, stream.rerouted);
    }

    #[test]
    fn a_route_logs_all_requests_or_a_share() {
        for (log_rate, unlogged) in [(None, false), (Some(1.0), false), (Some(0.0), true)] {
            let config = RouteConfig { log_rate, ..RouteConfig::default() };
            let (outcome, stream) = on_route("Search", config);

            assert_eq!((Ok(false), unlogged), (outcome, stream.unlogged));
        }
    }

    #[test]
    fn a_route_may_do_both() {
        let connect_reply = Some(ConnectReply::new("no"));
        let config = RouteConfig { connect_reply, log_rate: Some(0.0), ..RouteConfig::default() };
        let (outcome, stream) = on_route("Connect", config);

        assert!(outcome.is_err() && stream.unlogged);
    }

    #[test]
    fn without_a_configuration_a_request_is_passed_on_and_logged() {
        let mut stream = grpc_request("Connect");

        assert_eq!(Ok(false), on_request_headers(&mut stream));
        assert!(!stream.unlogged);
    }
}
