//! The part of a route's configuration that limits its calls.

use std::fmt;
use std::time::Duration;

use crate::wire::json::{Object, Value};

const DEFAULT_BURST: u64 = 1000;
const MAX_MILLISECONDS: u64 = 3_600_000;
const MAX_COUNT: u64 = (1 << 53) - 1;

/// What a route's calls may ask of Milvus.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// Routes with the same scope share what the limits count, also across changes of the configuration. Empty where
    /// there are no limits.
    pub scope: String,
    pub limits: Vec<Limit>,
    pub admission: Option<Admission>,
}

/// What the calls that share a limit have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct By {
    pub user: bool,
    pub database: bool,
    pub collection: bool,
}

/// The most that each value of `by` gets from this process.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    pub by: By,
    pub requests_per_second: Option<f64>,
    /// Rows that are written.
    pub rows_per_second: Option<f64>,
    /// Bytes of requests.
    pub bytes_per_second: Option<f64>,
    pub in_flight: Option<u64>,
    /// How much of a rate may be used at once.
    pub burst: Duration,
    pub applies: Applies,
}

/// The names that a limit holds for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applies {
    ToAll,
    To(Vec<String>),
    ToAllBut(Vec<String>),
}

/// How many reads a pool gets at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    Unlimited,
    Fixed(u64),
    /// As many as keep its latency low.
    Adaptive,
}

/// How many calls a pool gets at a time, and how others wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Routes with the same scope share one queue, also across changes of the configuration.
    pub scope: String,
    pub reads: Reads,
    pub writes: Option<u64>,
    /// The longest time in the queue.
    pub wait: Duration,
    /// The most bytes of requests in the queue.
    pub queued_bytes: u64,
}

impl Policy {
    /// Reads the object of the key `policy`.
    pub fn of(mut object: Object) -> Result<Self, String> {
        let scope = object.take_text("scope")?;
        let limits = match object.take("limits") {
            None => Vec::new(),
            Some(Value::List(limits)) => {
                limits.into_iter().map(Limit::of).collect::<Result<_, _>>()?
            }
            Some(other) => return Err(format!("limits is {other}, must be a list")),
        };
        let admission = match object.take("admission") {
            None => None,
            Some(Value::Object(admission)) => Some(Admission::of(admission)?),
            Some(other) => return Err(format!("admission is {other}, must be an object")),
        };
        object.finish()?;
        if scope.is_some() == limits.is_empty() || scope.as_deref() == Some("") {
            return Err("scope and limits must be set together".to_owned());
        }
        Ok(Self { scope: scope.unwrap_or_default(), limits, admission })
    }
}

impl By {
    fn of(value: Option<Value>) -> Result<Self, String> {
        let Some(Value::List(keys)) = value else {
            return Err("by must be a list of user, database, collection".to_owned());
        };
        let mut by = Self::default();
        for key in keys {
            let place = match &key {
                Value::Text(text) if text == "user" => &mut by.user,
                Value::Text(text) if text == "database" => &mut by.database,
                Value::Text(text) if text == "collection" => &mut by.collection,
                other => {
                    return Err(format!("by has {other}, must be user, database or collection"))
                }
            };
            if std::mem::replace(place, true) {
                return Err(format!("by has {key} twice"));
            }
        }
        if by == Self::default() {
            return Err("by is empty".to_owned());
        }
        Ok(by)
    }

    fn keys(self) -> impl Iterator<Item = &'static str> {
        let keys =
            [(self.user, "user"), (self.database, "database"), (self.collection, "collection")];
        keys.into_iter().filter_map(|(is_key, name)| is_key.then_some(name))
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.keys().collect::<Vec<_>>().join(" and "))
    }
}

impl Limit {
    fn of(value: Value) -> Result<Self, String> {
        let Value::Object(mut object) = value else {
            return Err(format!("limits has {value}, must have objects"));
        };
        let limit = Self {
            by: By::of(object.take("by"))?,
            requests_per_second: rate(&mut object, "requestsPerSecond")?,
            rows_per_second: rate(&mut object, "rowsPerSecond")?,
            bytes_per_second: rate(&mut object, "bytesPerSecond")?,
            in_flight: object.take_count("inFlight", 1, MAX_COUNT)?,
            burst: Duration::from_millis(
                object.take_count("burstMs", 0, MAX_MILLISECONDS)?.unwrap_or(DEFAULT_BURST),
            ),
            applies: match (names(&mut object, "names")?, names(&mut object, "except")?) {
                (None, None) => Applies::ToAll,
                (Some(names), None) => Applies::To(names),
                (None, Some(names)) => Applies::ToAllBut(names),
                (Some(_), Some(_)) => return Err("names and except exclude each other".to_owned()),
            },
        };
        object.finish()?;
        let rates = [limit.requests_per_second, limit.rows_per_second, limit.bytes_per_second];
        if rates == [None; 3] && limit.in_flight.is_none() {
            return Err("a limit limits nothing".to_owned());
        }
        if limit.by.keys().count() > 1 && limit.applies != Applies::ToAll {
            return Err("names and except need one key in by".to_owned());
        }
        Ok(limit)
    }
}

impl Admission {
    fn of(mut object: Object) -> Result<Self, String> {
        let adaptive = object.take_flag("adaptive")?;
        let reads = match (object.take_count("reads", 1, MAX_COUNT)?, adaptive) {
            (Some(_), true) => return Err("reads and adaptive exclude each other".to_owned()),
            (Some(reads), false) => Reads::Fixed(reads),
            (None, true) => Reads::Adaptive,
            (None, false) => Reads::Unlimited,
        };
        let wait = required(object.take_count("waitMs", 0, MAX_MILLISECONDS)?, "waitMs")?;
        let queued_bytes = object.take_count("queuedBytes", 0, MAX_COUNT)?;
        let admission = Self {
            scope: required(object.take_text("scope")?.filter(|text| !text.is_empty()), "scope")?,
            reads,
            writes: object.take_count("writes", 1, MAX_COUNT)?,
            wait: Duration::from_millis(wait),
            queued_bytes: required(queued_bytes, "queuedBytes")?,
        };
        object.finish()?;
        if admission.reads == Reads::Unlimited && admission.writes.is_none() {
            return Err("the admission limits nothing".to_owned());
        }
        Ok(admission)
    }
}

fn rate(object: &mut Object, key: &str) -> Result<Option<f64>, String> {
    match object.take(key) {
        None => Ok(None),
        Some(Value::Number(rate)) if rate > 0.0 => Ok(Some(rate)),
        Some(other) => Err(format!("{key} is {other}, must be a number above 0")),
    }
}

fn names(object: &mut Object, key: &str) -> Result<Option<Vec<String>>, String> {
    let Some(value) = object.take(key) else { return Ok(None) };
    let Value::List(values) = value else {
        return Err(format!("{key} is {value}, must be a list"));
    };
    if values.is_empty() {
        return Err(format!("{key} is empty"));
    }
    let text = |value| match value {
        Value::Text(text) => Ok(text),
        other => Err(format!("{key} has {other}, must have strings")),
    };
    values.into_iter().map(text).collect::<Result<_, _>>().map(Some)
}

fn required<T>(value: Option<T>, key: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("the key {key:?} is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::cases::{check, refused};
    use crate::config::Config;
    use crate::listener::cache::config::CacheConfig;
    use crate::wire::fuzz::{damage, fuzz};
    use crate::wire::json::parse_object;

    fn parse(json: &[u8]) -> Result<Policy, String> {
        parse_object(json).and_then(Policy::of)
    }

    #[test]
    fn what_the_control_plane_accepts_is_accepted_and_nothing_else() {
        check("policy", parse, |meaning| Policy::of(std::mem::take(meaning)).unwrap());
    }

    #[test]
    fn a_policy_is_what_its_text_says() {
        let text = br#"{"scope": "a", "limits": [{"by": ["user", "collection"],
            "requestsPerSecond": 0.5, "inFlight": 3, "burstMs": 20}, {"by": ["database"], "bytesPerSecond": 7,
            "except": ["x"]}], "admission": {"scope": "p", "adaptive": true, "writes": 2, "waitMs": 250,
            "queuedBytes": 9}}"#;

        let both = Limit {
            by: By { user: true, collection: true, ..By::default() },
            requests_per_second: Some(0.5),
            rows_per_second: None,
            bytes_per_second: None,
            in_flight: Some(3),
            burst: Duration::from_millis(20),
            applies: Applies::ToAll,
        };
        let by_database = Limit {
            by: By { database: true, ..By::default() },
            requests_per_second: None,
            bytes_per_second: Some(7.0),
            in_flight: None,
            burst: Duration::from_secs(1),
            applies: Applies::ToAllBut(vec!["x".to_owned()]),
            ..both.clone()
        };
        let admission = Admission {
            scope: "p".to_owned(),
            reads: Reads::Adaptive,
            writes: Some(2),
            wait: Duration::from_millis(250),
            queued_bytes: 9,
        };
        let (scope, limits) = ("a".to_owned(), vec![both, by_database]);
        assert_eq!(Ok(Policy { scope, limits, admission: Some(admission) }), parse(text));
    }

    #[test]
    fn an_error_names_what_is_wrong() {
        let errors = refused("policy", parse);

        assert!(errors.contains(&"scope and limits must be set together".to_owned()), "{errors:?}");
        assert!(
            errors.contains(&"by has \"tenant\", must be user, database or collection".to_owned())
        );
        assert!(errors.contains(
            &"inFlight is 1.5, must be a whole number from 1 to 9007199254740991".to_owned()
        ));
    }

    #[test]
    fn fuzz_configurations() {
        let text = concat!(
            r#"{"scope":"s","limits":[{"by":["user"],"requestsPerSecond":1.5e2,"names":["a"]}],"#,
            r#""admission":{"scope":"x","adaptive":true,"waitMs":0,"queuedBytes":10}}"#
        );
        fuzz("configurations", 20_000, |random| {
            let mut bytes = text.as_bytes().to_vec();
            damage(&mut bytes, random);
            if let Ok(object) = parse_object(&bytes) {
                let _ = CacheConfig::of(object.clone());
                let _ = Policy::of(object);
            }
            let _ = Config::parse(&bytes);
        });
    }
}
