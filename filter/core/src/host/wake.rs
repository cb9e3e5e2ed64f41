//! Streams that wait.

/// Calls the hook `on_wake` of one stream, on the stream's own thread.
pub trait Wake: Send {
    fn wake(&self);
}

/// A stream that can be woken later.
pub trait Wakeable {
    fn waker(&self) -> Box<dyn Wake>;
}
