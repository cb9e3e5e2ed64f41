//! The request and its route.

/// The request's headers.
pub trait Request {
    /// The first value of a request header.
    fn request_header(&self, name: &str) -> Option<&[u8]>;

    /// The first value of each of some request headers, in lower case. Envoy finds a header that it does not know itself at
    /// the price of a look at all of them, and of several at the same price.
    fn request_headers<const N: usize>(&self, names: [&str; N]) -> [Option<&[u8]>; N] {
        names.map(|name| self.request_header(name))
    }

    /// Hands over the name and the value of each request header, in order.
    fn each_request_header<'a>(&'a self, each: impl FnMut(&'a [u8], &'a [u8]));

    /// Sets a request header in place of every value it has; only while the headers are held.
    fn set_request_header(&mut self, name: &str, value: &str);
}

/// The request's route, which may have a configuration of the type `Config` for the filter.
pub trait Routed<Config> {
    /// The configuration that the request's route has for the filter, if any.
    fn route_config(&self) -> Option<&Config>;

    /// Has the proxy choose the route again, by the request's headers as they are now; only in the hook of the headers.
    fn choose_route_again(&mut self);
}

/// Where the request's route leads.
pub trait Destination {
    /// Whether the route leads to endpoints of which none is healthy; false where that is not known.
    fn has_no_healthy_endpoint(&self) -> bool;
}

/// The client's connection.
pub trait Connected {
    /// The server name (SNI) that the client asked for, as it sent it; None without TLS or without a name.
    fn server_name(&self) -> Option<&[u8]>;
}

/// The attempt that a filter on the way to an endpoint sees.
pub trait Upstream {
    /// The endpoint's address; None while no connection to it is ready.
    fn endpoint(&self) -> Option<&[u8]>;
}

/// A text that the filter in the listener and those on the way to an endpoint share for one stream.
pub trait StreamNote {
    /// The text; None: no filter has set it.
    fn stream_note(&self) -> Option<&[u8]>;

    /// Sets the text, in place of an earlier one.
    fn set_stream_note(&mut self, text: &str);
}

/// The access log.
pub trait AccessLog {
    /// Keeps the request out of the access log.
    fn leave_out_of_log(&mut self);

    /// Has the log say why the filter refused the request.
    fn note_refusal(&mut self, reason: &'static str);

    /// Has the log say what the cache did with the request.
    fn note_cache(&mut self, outcome: &'static str);

    /// Adds a text to what the log says of the call, in place of an earlier one.
    fn note_text(&mut self, key: &str, value: &str);

    /// Adds a number to what the log says of the call, in place of an earlier one.
    fn note_number(&mut self, key: &str, value: u64);
}
