//! What the cache needs of a stream.

use crate::cache::caller;
use crate::cache::question::headers::Header;
use crate::host::body::RequestBody;
use crate::host::clock::Clock;
use crate::host::own_call::Caller;
use crate::host::request::{AccessLog, Request, Routed, StreamNote};
use crate::host::wake::Wakeable;
use crate::listener::cache::route::CacheRoute;
use crate::listener::route::RouteConfig;

/// Nearly every request has fewer headers than this.
const USUAL_HEADERS: usize = 24;

/// A stream whose request is decided about.
pub trait Asking:
    Request + RequestBody + Routed<RouteConfig> + AccessLog + StreamNote + Clock + Wakeable + Caller
{
}

impl<T> Asking for T where
    T: Request
        + RequestBody
        + Routed<RouteConfig>
        + AccessLog
        + StreamNote
        + Clock
        + Wakeable
        + Caller
{
}

/// The cache of the route of a request.
pub fn cache_of(stream: &impl Routed<RouteConfig>) -> Option<&CacheRoute> {
    stream.route_config().and_then(|route| route.cache.as_ref())
}

/// Who makes a request.
pub fn caller_of(request: &impl Request) -> caller::Caller {
    caller::Caller::of(headers_of(request).into_iter())
}

/// The headers of a request, in their order.
pub fn headers_of(request: &impl Request) -> Vec<Header<'_>> {
    let mut headers = Vec::with_capacity(USUAL_HEADERS);
    request.each_request_header(|name, value| headers.push((name, value)));
    headers
}
