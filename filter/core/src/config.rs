//! The filter's configuration: a JSON object such as `{"mode": "downstream"}`.
//!
//! The control plane writes it (src/kiteway/envoy/filter_config.py). The cases of testdata/configuration.json hold for
//! both sides.

#[cfg(test)]
pub mod cases;

use crate::wire::json::parse_object;

/// Where in Envoy the filter sits, hence what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In a listener's filter chain: once per request of a client whose route turns the filter on.
    Downstream,
    /// In the upstream filter chain of a cluster that serves gRPC: once per attempt at an endpoint.
    Upstream,
    /// In the upstream filter chain of a cluster that serves REST.
    RestUpstream,
    /// In a listener for the control plane: replies with what was counted of calls.
    Report,
}

/// What is said of the users of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserNaming {
    #[default]
    Names,
    Hashed,
    Nobody,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub mode: Mode,
    /// Whether the access log gets what the messages of a call say.
    pub log: bool,
    /// Whether the spans of traced calls get what their messages say.
    pub trace: bool,
    /// The name under which an endpoint's calls are counted by collection, user and endpoint; None: they are not. In a
    /// listener each route has it.
    pub pool: Option<String>,
    pub users: UserNaming,
    /// The file with the key of the hashes of users; None: a key for the life of the process.
    pub user_key: Option<String>,
}

impl Config {
    /// Parses the configuration. An unknown key or value is an error that names it: Envoy then rejects the whole resource
    /// instead of running with less than was asked for.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let mut object = parse_object(json)?;
        let mode = match object.take_text("mode")?.as_deref() {
            Some("downstream") => Mode::Downstream,
            Some("upstream") => Mode::Upstream,
            Some("rest-upstream") => Mode::RestUpstream,
            Some("report") => Mode::Report,
            Some(other) => {
                return Err(format!(
                    "mode is {other:?}, must be downstream, upstream, rest-upstream or report"
                ));
            }
            None => return Err("the key \"mode\" is missing".to_owned()),
        };
        let log = object.take_flag("log")?;
        let trace = object.take_flag("trace")?;
        let pool = object.take_text("pool")?;
        let users = match object.take_text("users")?.as_deref() {
            None | Some("names") => UserNaming::Names,
            Some("hashed") => UserNaming::Hashed,
            Some("none") => UserNaming::Nobody,
            Some(other) => {
                return Err(format!("users is {other:?}, must be names, hashed or none"));
            }
        };
        let user_key = object.take_text("user_key")?;
        object.finish()?;
        Ok(Self { mode, log, trace, pool, users, user_key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::cases::{check, refused};
    use crate::wire::json::{Object, Value};

    #[test]
    fn each_case_has_its_meaning() {
        let mode = |object: &mut Object| match object.take("mode") {
            Some(Value::Text(text)) => match text.as_str() {
                "downstream" => Mode::Downstream,
                "upstream" => Mode::Upstream,
                "rest-upstream" => Mode::RestUpstream,
                "report" => Mode::Report,
                other => panic!("{other}"),
            },
            other => panic!("{other:?}"),
        };
        check("filter", Config::parse, |meaning| Config {
            mode: mode(meaning),
            log: meaning.take("log") == Some(Value::Bool(true)),
            trace: meaning.take("trace") == Some(Value::Bool(true)),
            pool: meaning.take_text("pool").unwrap(),
            users: match meaning.take_text("users").unwrap().as_deref() {
                None => UserNaming::Names,
                Some("hashed") => UserNaming::Hashed,
                Some("none") => UserNaming::Nobody,
                Some(other) => panic!("{other}"),
            },
            user_key: meaning.take_text("user_key").unwrap(),
        });
    }

    #[test]
    fn an_error_names_what_is_wrong() {
        assert_eq!(
            [
                "mode is \"sideways\", must be downstream, upstream, rest-upstream or report",
                "mode is 7, must be a string",
                "the key \"mode\" is missing",
                "unknown key \"ttl\"",
            ],
            refused("filter", Config::parse)[..4]
        );
    }
}
