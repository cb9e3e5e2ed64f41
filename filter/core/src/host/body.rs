//! The parts of a body, as they arrive.

/// The body of the request.
pub trait RequestBody {
    /// Hands over what the running body hook received, piece by piece.
    fn read_request_body(&self, read: impl FnMut(&[u8]));

    /// Hands over what is held of the body, piece by piece. Before the last hook Envoy moves there what that hook
    /// received, if there is something already.
    fn read_held_request_body(&self, read: impl FnMut(&[u8]));

    /// Puts `body` in place of everything that has arrived of the body, which must be all of it and held.
    fn replace_request_body(&mut self, body: &[u8]);
}

/// The body of the response.
pub trait ResponseBody {
    /// Hands over what the running body hook received, piece by piece.
    fn read_response_body(&self, read: impl FnMut(&[u8]));

    /// The first piece of what the running body hook received.
    fn response_body_start(&self) -> &[u8];

    /// Appends to `head` what the running body hook received, until `head` is `limit` bytes long.
    fn copy_response_body(&self, head: &mut Vec<u8>, limit: usize);

    /// Drops everything of the response's body that has arrived and is not passed on yet.
    fn drop_response_body(&mut self);
}
