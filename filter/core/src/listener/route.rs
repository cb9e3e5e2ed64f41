//! A route's configuration for the filter in the listener.

use std::sync::Arc;

use crate::calls::pool::PoolCalls;
use crate::listener::cache::config::CacheConfig;
use crate::listener::cache::route::CacheRoute;
use crate::listener::connect_reply::ConnectReply;
use crate::listener::policy::Policy;
use crate::listener::rules::Rules;
use crate::wire::json::{parse_object, Value};

/// A route's configuration: parts that do not depend on each other. Most routes have none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteConfig {
    /// The route leads nowhere: the reply to `Connect`.
    pub connect_reply: Option<ConnectReply>,
    /// The reply to `Connect` while no endpoint of the route is healthy.
    pub reply_without_endpoint: Option<ConnectReply>,
    /// The route is for hosts that nothing claims: a host that is an address may stand for the connection's server name.
    pub by_server_name: bool,
    /// The share of the route's requests that the access log gets, 0 to 1; None: all.
    pub log_rate: Option<f64>,
    /// The limits of the route's calls.
    pub policy: Option<Rules>,
    /// The cache of the route's pool.
    pub cache: Option<CacheRoute>,
    /// Where calls are counted that no endpoint sees; None: they are not counted.
    pub calls: Option<Arc<PoolCalls>>,
}

impl RouteConfig {
    /// Parses `{"answer": "no Ingress routes the host {host}.", "answer_without_endpoint": "...", "by_server_name": true,
    /// "log_rate": 0.25, "policy": {...}, "cache": {...}, "pool": "pool/default/milvus/19530/grpc"}`; each key may be missing.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let mut object = parse_object(json)?;
        let connect_reply = object.take_text("answer")?.map(|text| ConnectReply::new(&text));
        let reply_without_endpoint =
            object.take_text("answer_without_endpoint")?.map(|text| ConnectReply::new(&text));
        let by_server_name = object.take_flag("by_server_name")?;
        let log_rate = match object.take("log_rate") {
            None => None,
            Some(Value::Number(rate)) if (0.0..=1.0).contains(&rate) => Some(rate),
            Some(other) => {
                return Err(format!("log_rate is {other}, must be a number from 0 to 1"))
            }
        };
        let policy = match object.take("policy") {
            None => None,
            Some(Value::Object(policy)) => {
                let policy = Policy::of(policy).map_err(|error| format!("policy: {error}"))?;
                Some(Rules::new(policy))
            }
            Some(other) => return Err(format!("policy is {other}, must be an object")),
        };
        let cache = match object.take("cache") {
            None => None,
            Some(Value::Object(cache)) => {
                Some(CacheConfig::of(cache).map_err(|error| format!("cache: {error}"))?)
            }
            Some(other) => return Err(format!("cache is {other}, must be an object")),
        };
        let pool = object.take_text("pool")?;
        object.finish()?;
        let calls = pool.as_deref().map(PoolCalls::named);
        Ok(Self {
            connect_reply,
            reply_without_endpoint,
            by_server_name,
            log_rate,
            policy,
            cache: cache.map(CacheRoute::new),
            calls,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::cases::{check, refused};

    #[test]
    fn each_case_has_its_meaning() {
        check("route", RouteConfig::parse, |meaning| RouteConfig {
            connect_reply: meaning
                .take_text("answer")
                .unwrap()
                .map(|text| ConnectReply::new(&text)),
            reply_without_endpoint: meaning
                .take_text("answer_without_endpoint")
                .unwrap()
                .map(|text| ConnectReply::new(&text)),
            by_server_name: meaning.take_flag("by_server_name").unwrap(),
            log_rate: match meaning.take("log_rate") {
                None => None,
                Some(Value::Number(rate)) => Some(rate),
                Some(other) => panic!("{other}"),
            },
            policy: match meaning.take("policy") {
                None => None,
                Some(Value::Object(policy)) => Some(Rules::new(Policy::of(policy).unwrap())),
                Some(other) => panic!("{other}"),
            },
            cache: match meaning.take("cache") {
                None => None,
                Some(Value::Object(cache)) => {
                    Some(CacheRoute::new(CacheConfig::of(cache).unwrap()))
                }
                Some(other) => panic!("{other}"),
            },
            calls: meaning.take_text("pool").unwrap().as_deref().map(PoolCalls::named),
        });
    }

    #[test]
    fn an_error_names_what_is_wrong() {
        assert_eq!(
            [
                "answer is 1, must be a string",
                "log_rate is 1.5, must be a number from 0 to 1",
                "log_rate is -1, must be a number from 0 to 1",
                "log_rate is \"0.25\", must be a number from 0 to 1",
                "unknown key \"mode\"",
                "log_rate is null, must be a number from 0 to 1",
            ],
            refused("route", RouteConfig::parse)[..6]
        );
    }
}
