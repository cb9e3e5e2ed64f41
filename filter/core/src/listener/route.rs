//! A route's configuration for the filter in the listener.

use crate::config::string_pairs;
use crate::listener::connect_reply::ConnectReply;

/// A route's configuration. Most routes have none.
#[derive(Clone, Debug, PartialEq)]
pub enum RouteConfig {
    /// The route leads nowhere: what is answered to `Connect`.
    Answer(ConnectReply),
    /// The share of its requests that the access log gets, below 1.
    LogRate(f64),
}

impl RouteConfig {
    /// Parses `{"answer": "no Ingress routes the host {host}."}` or `{"log_rate": "0.25"}`.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let json = std::str::from_utf8(json).map_err(|_| "the JSON is not UTF-8".to_owned())?;
        match string_pairs(json)?.as_slice() {
            [("answer", text)] => Ok(Self::Answer(ConnectReply::new(text))),
            [("log_rate", text)] => match text.parse() {
                Ok(rate) if (0.0..=1.0).contains(&rate) => Ok(Self::LogRate(rate)),
                _ => Err(format!("log_rate is {text:?}, must be a number from 0 to 1")),
            },
            _ => Err("a route's configuration has one key, \"answer\" or \"log_rate\"".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_answers_or_says_how_often_it_is_logged() {
        for (json, config) in [
            ("{\"answer\": \"no\"}", RouteConfig::Answer(ConnectReply::new("no"))),
            ("{\"log_rate\": \"0.25\"}", RouteConfig::LogRate(0.25)),
            ("{\"log_rate\": \"0\"}", RouteConfig::LogRate(0.0)),
        ] {
            assert_eq!(Ok(config), RouteConfig::parse(json.as_bytes()), "{json}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for json in [
            "{}",
            "{\"mode\": \"downstream\"}",
            "{\"answer\": 1}",
            "{\"answer\": \"no\", \"log_rate\": \"1\"}",
            "{\"log_rate\": \"2\"}",
            "{\"log_rate\": \"-1\"}",
            "{\"log_rate\": \"NaN\"}",
            "{\"log_rate\": \"often\"}",
        ] {
            assert!(RouteConfig::parse(json.as_bytes()).is_err(), "{json}");
        }
    }
}
