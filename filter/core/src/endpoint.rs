//! The filter on the way to an endpoint. It sees every attempt at a request.

pub mod attempt;
mod messages;
mod rest_reading;
mod unchanged;
