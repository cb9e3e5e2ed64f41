//! The look at a read, before anything else is done with it.

use crate::cache::pool::Look;
use crate::cache::question::glance::{glance, Credentials, Glance};
use crate::cache::question::message_of;
use crate::cache::question::method::Method;
use crate::host::body::RequestBody;
use crate::listener::cache::asking::{cache_of, Asking};
use crate::listener::cache::held::Held;
use crate::listener::cache::route::CacheRoute;

/// Looks at a read that has arrived and is held; one without `credentials` is not looked at.
pub fn look(
    method: Method,
    credentials: Option<Credentials>,
    held: &Held,
    cache: &CacheRoute,
    stream: &impl Asking,
) -> Look {
    const ASK: Look = Look::Ask { is_repeated: false, passed: 0 };
    let Some(credentials) = credentials else { return ASK };
    let seen = glance_at(method, credentials, stream).or_else(|| {
        let frame = held.all(stream);
        glance(method, credentials, message_of(&frame).ok()?)
    });
    seen.map_or(ASK, |seen| cache.pool.look(seen, cache.window, false, stream.boot_time()))
}

/// Looks at a read that is sent while it arrives. If its message comes in pieces, it is not looked at, and the next one is held.
pub fn look_at_sent(method: Method, credentials: Credentials, stream: &impl Asking) {
    let Some(cache) = cache_of(stream) else { return };
    match glance_at(method, credentials, stream) {
        Some(seen) => {
            cache.pool.look(seen, cache.window, true, stream.boot_time());
        }
        None => cache.pool.hold(credentials),
    }
}

/// Looks at what the running hook received, if it is a whole message in one piece, as it nearly always is. Nothing is copied.
fn glance_at(
    method: Method,
    credentials: Credentials,
    stream: &impl RequestBody,
) -> Option<Glance> {
    let mut seen = None;
    stream.read_request_body(|piece| {
        let look = || glance(method, credentials, message_of(piece).ok()?);
        seen = seen.or_else(look);
    });
    seen
}
