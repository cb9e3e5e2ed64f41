//! The filter's configuration: a JSON object such as `{"mode": "downstream"}`.

/// Where in Envoy the filter sits, hence what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In a listener's filter chain: once per request of a client whose route turns the filter on.
    Downstream,
    /// In the upstream filter chain of a cluster that serves gRPC: once per attempt at an endpoint.
    Upstream,
    /// In the upstream filter chain of a cluster that serves REST.
    RestUpstream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    pub mode: Mode,
}

impl Config {
    /// Parses the configuration. An unknown key or value is an error that names it: Envoy then
    /// rejects the whole resource instead of running with less than was asked for.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(json).map_err(|_| "the JSON is not UTF-8".to_owned())?;
        let mut mode = None;
        for (key, value) in string_pairs(text)? {
            match (key, value) {
                ("mode", "downstream") => mode = Some(Mode::Downstream),
                ("mode", "upstream") => mode = Some(Mode::Upstream),
                ("mode", "rest-upstream") => mode = Some(Mode::RestUpstream),
                ("mode", other) => {
                    return Err(format!(
                        "mode is {other:?}, must be downstream, upstream or rest-upstream"
                    ));
                }
                (other, _) => return Err(format!("unknown key {other:?}")),
            }
        }
        mode.map(|mode| Self { mode }).ok_or_else(|| "the key \"mode\" is missing".to_owned())
    }
}

/// Reads a flat JSON object whose values are strings without escapes: all the configuration needs.
pub fn string_pairs(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut reader = Reader { text, at: 0 };
    let mut pairs = Vec::new();
    reader.expect('{')?;
    if !reader.accept('}') {
        loop {
            let key = reader.string()?;
            reader.expect(':')?;
            pairs.push((key, reader.string()?));
            if !reader.accept(',') {
                break;
            }
        }
        reader.expect('}')?;
    }
    match reader.peek() {
        None => Ok(pairs),
        Some(_) => Err(reader.error("the end")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&mut self) -> Option<char> {
        let rest = self.text[self.at..].trim_start_matches([' ', '\t', '\r', '\n']);
        self.at = self.text.len() - rest.len();
        rest.chars().next()
    }

    fn accept(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.accept(wanted) {
            Ok(())
        } else {
            Err(self.error(&format!("{wanted:?}")))
        }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        self.expect('"').map_err(|_| self.error("a string"))?;
        let rest = &self.text[self.at..];
        match rest.find(['"', '\\']) {
            Some(end) if rest.as_bytes()[end] == b'"' => {
                self.at += end + 1;
                Ok(&rest[..end])
            }
            _ => Err(self.error("a closed string without escapes")),
        }
    }

    fn error(&self, wanted: &str) -> String {
        format!("at byte {} of the JSON: expected {wanted}", self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_read_whatever_the_white_space() {
        for text in ["{\"mode\":\"downstream\"}", " {\n\t\"mode\" : \"downstream\" }\r\n"] {
            assert_eq!(Ok(Config { mode: Mode::Downstream }), Config::parse(text.as_bytes()));
        }
    }

    #[test]
    fn the_mode_says_where_the_filter_sits() {
        for (mode, name) in [(Mode::Upstream, "upstream"), (Mode::RestUpstream, "rest-upstream")] {
            let json = format!("{{\"mode\":\"{name}\"}}");
            assert_eq!(Ok(Config { mode }), Config::parse(json.as_bytes()));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, message) in [
            ("", "at byte 0 of the JSON: expected '{'"),
            ("{}", "the key \"mode\" is missing"),
            (
                "{\"mode\":\"sideways\"}",
                "mode is \"sideways\", must be downstream, upstream or rest-upstream",
            ),
            ("{\"mode\":\"downstream\",\"ttl\":\"1\"}", "unknown key \"ttl\""),
            ("{\"mode\":7}", "at byte 8 of the JSON: expected a string"),
            ("{\"mode\":\"down", "at byte 9 of the JSON: expected a closed string without escapes"),
            (
                "{\"mode\":\"\\u0064\"}",
                "at byte 9 of the JSON: expected a closed string without escapes",
            ),
            ("{\"mode\":\"downstream\"", "at byte 20 of the JSON: expected '}'"),
            ("{\"mode\":\"downstream\"} x", "at byte 22 of the JSON: expected the end"),
        ] {
            assert_eq!(Err(message.to_owned()), Config::parse(text.as_bytes()), "{text}");
        }
        assert_eq!(Err("the JSON is not UTF-8".to_owned()), Config::parse(b"\xff"));
    }
}
