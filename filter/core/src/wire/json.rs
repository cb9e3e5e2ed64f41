//! A reader of JSON (RFC 8259), for configurations: small texts from the control plane.

use std::fmt;

/// Deeper nesting is refused.
const MAX_DEPTH: usize = 16;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Object(Object),
}

/// An object, whose keys are unique. They are taken out one by one: see `take` and `finish`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object(Vec<(String, Value)>);

impl Object {
    /// Removes a key and returns its value.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        let place = self.0.iter().position(|(name, _)| name == key)?;
        Some(self.0.remove(place).1)
    }

    /// Removes a key whose value must be a string.
    pub fn take_text(&mut self, key: &str) -> Result<Option<String>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other) => Err(format!("{key} is {other}, must be a string")),
        }
    }

    /// Removes a key whose value must be a whole number from `least` to `most`, which is below 2^53.
    pub fn take_count(&mut self, key: &str, least: u64, most: u64) -> Result<Option<u64>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Number(number))
                if number >= least as f64 && number <= most as f64 && number.fract() == 0.0 =>
            {
                Ok(Some(number as u64))
            }
            Some(other) => {
                Err(format!("{key} is {other}, must be a whole number from {least} to {most}"))
            }
        }
    }

    /// Removes a key whose value must be true or false; false if it is missing.
    pub fn take_flag(&mut self, key: &str) -> Result<bool, String> {
        match self.take(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(format!("{key} is {other}, must be true or false")),
        }
    }

    /// Says that every key that is still here is unknown.
    pub fn finish(self) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((key, _)) => Err(format!("unknown key {key:?}")),
        }
    }
}

impl fmt::Display for Value {
    /// A short description for an error: a scalar as it is, the others by their kind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::List(_) => f.write_str("a list"),
            Self::Object(_) => f.write_str("an object"),
        }
    }
}

/// Parses a JSON text that is an object; an error says at which byte the text is wrong.
pub fn parse_object(json: &[u8]) -> Result<Object, String> {
    let text = std::str::from_utf8(json).map_err(|_| "the JSON is not UTF-8".to_owned())?;
    let mut reader = Reader { text, at: 0 };
    reader.expect('{')?;
    let object = reader.object(MAX_DEPTH)?;
    match reader.peek() {
        None => Ok(object),
        Some(_) => Err(reader.error("the end")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// The next character that is not white space.
    fn peek(&mut self) -> Option<char> {
        let rest = self.rest().trim_start_matches([' ', '\t', '\r', '\n']);
        self.at = self.text.len() - rest.len();
        self.rest().chars().next()
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
            return Ok(());
        }
        Err(self.error(&format!("{wanted:?}")))
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth == 0 {
            return Err(self.error(&format!("no more than {MAX_DEPTH} levels")));
        }
        match self.peek() {
            Some('{') => {
                self.at += 1;
                self.object(depth - 1).map(Value::Object)
            }
            Some('[') => {
                self.at += 1;
                self.list(depth - 1).map(Value::List)
            }
            Some('"') => self.string().map(Value::Text),
            Some('-' | '0'..='9') => self.number().map(Value::Number),
            _ => self.word(),
        }
    }

    /// The rest of an object after its opening brace.
    fn object(&mut self, depth: usize) -> Result<Object, String> {
        let mut object = Object::default();
        if self.accept('}') {
            return Ok(object);
        }
        loop {
            let key = self.string()?;
            if object.0.iter().any(|(name, _)| *name == key) {
                return Err(format!("the key {key:?} is there twice"));
            }
            self.expect(':')?;
            object.0.push((key, self.value(depth)?));
            if !self.accept(',') {
                break;
            }
        }
        self.expect('}')?;
        Ok(object)
    }

    /// The rest of a list after its opening bracket.
    fn list(&mut self, depth: usize) -> Result<Vec<Value>, String> {
        let mut list = Vec::new();
        if self.accept(']') {
            return Ok(list);
        }
        loop {
            list.push(self.value(depth)?);
            if !self.accept(',') {
                break;
            }
        }
        self.expect(']')?;
        Ok(list)
    }

    fn word(&mut self) -> Result<Value, String> {
        for (word, value) in
            [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))]
        {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.error("a value"))
    }

    fn number(&mut self) -> Result<f64, String> {
        let rest = self.rest();
        let length = rest
            .find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'))
            .unwrap_or(rest.len());
        let digits = &rest[..length];
        let integer = digits.trim_start_matches('-');
        // What Rust reads and JSON has not: a leading zero or plus, a point without digits on both sides.
        let is_json = !(integer.starts_with(['.', '+', '-'])
            || integer.starts_with('0') && integer[1..].starts_with(|c: char| c.is_ascii_digit())
            || digits.len() - integer.len() > 1
            || digits.ends_with('.')
            || digits.contains(".e")
            || digits.contains(".E"));
        match digits.parse::<f64>() {
            Ok(number) if is_json && number.is_finite() => {
                self.at += length;
                Ok(number)
            }
            _ => Err(self.error("a number")),
        }
    }

    fn string(&mut self) -> Result<String, String> {
        self.expect('"').map_err(|_| self.error("a string"))?;
        let mut string = String::new();
        loop {
            let Some(character) = self.rest().chars().next() else {
                return Err(self.error("the end of the string"));
            };
            match character {
                '"' => {
                    self.at += 1;
                    return Ok(string);
                }
                '\\' => {
                    self.at += 1;
                    string.push(self.escaped()?);
                }
                '\0'..='\x1f' => return Err(self.error("no control character")),
                other => {
                    self.at += other.len_utf8();
                    string.push(other);
                }
            }
        }
    }

    /// The character that an escape stands for, after its backslash.
    fn escaped(&mut self) -> Result<char, String> {
        let kind = self.rest().bytes().next();
        let character = match kind {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.error("an escape")),
        };
        self.at += 1;
        Ok(character)
    }

    /// The character of `uXXXX`, or of a pair of surrogates.
    fn unicode(&mut self) -> Result<char, String> {
        let high = self.unit()?;
        let code = match high {
            0xd800..=0xdbff if self.rest().starts_with("\\u") => {
                self.at += 1;
                match self.unit()? {
                    low @ 0xdc00..=0xdfff => 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00),
                    _ => return Err(self.error("a low surrogate")),
                }
            }
            other => other,
        };
        char::from_u32(code).ok_or_else(|| self.error("a low surrogate"))
    }

    /// The number of `uXXXX`.
    fn unit(&mut self) -> Result<u32, String> {
        let digits = self.rest().get(1..5).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.error("four hexadecimal digits"))?;
        self.at += 5;
        Ok(unit)
    }

    fn error(&self, wanted: &str) -> String {
        format!("at byte {} of the JSON: expected {wanted}", self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of the key `v`.
    fn value(text: &str) -> Result<Value, String> {
        let mut object = parse_object(format!("{{\"v\":{text}}}").as_bytes())?;
        Ok(object.take("v").unwrap())
    }

    #[test]
    fn every_kind_of_value_is_read_whatever_the_white_space() {
        let list = Value::List(vec![Value::Null, Value::Bool(true), Value::Bool(false)]);
        for (text, expected) in [
            ("\"a\"", Value::Text("a".to_owned())),
            (" [ null ,true,\t\r\nfalse ] ", list),
            ("[]", Value::List(Vec::new())),
            (" { } ", Value::Object(Object::default())),
            ("-0.5e+1", Value::Number(-5.0)),
            ("10", Value::Number(10.0)),
            ("0", Value::Number(0.0)),
        ] {
            assert_eq!(Ok(expected), value(text), "{text}");
        }
    }

    #[test]
    fn escapes_stand_for_their_characters() {
        let text = value(r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é""#);

        assert_eq!(Ok(Value::Text("\"\\/\x08\x0c\n\r\t\u{e9}\u{1f600}\u{e9}".to_owned())), text);
    }

    #[test]
    fn an_error_names_the_byte() {
        for (text, message) in [
            ("", "at byte 5 of the JSON: expected a value"),
            ("nul", "at byte 5 of the JSON: expected a value"),
            ("\"a", "at byte 8 of the JSON: expected the end of the string"),
            ("\"\\x\"", "at byte 7 of the JSON: expected an escape"),
            ("\"\\u00e\"", "at byte 7 of the JSON: expected four hexadecimal digits"),
            ("\"\\ud800\"", "at byte 12 of the JSON: expected a low surrogate"),
            ("\"\\ud800\\u0041\"", "at byte 18 of the JSON: expected a low surrogate"),
            ("\"\n\"", "at byte 6 of the JSON: expected no control character"),
            ("[1 2]", "at byte 8 of the JSON: expected ']'"),
            ("1,\"v\":2", "the key \"v\" is there twice"),
            ("1} x", "at byte 8 of the JSON: expected the end"),
        ] {
            assert_eq!(Err(message.to_owned()), value(text), "{text}");
        }
        for text in ["01", "+1", "--1", ".5", "1.", "1.e5", "1e999", "NaN", "-", "1e"] {
            assert!(value(text).is_err(), "{text}");
        }
        assert_eq!(Err("the JSON is not UTF-8".to_owned()), parse_object(b"\xff"));
        assert_eq!(Err("at byte 0 of the JSON: expected '{'".to_owned()), parse_object(b"[]"));
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));

        assert_eq!(Some(true), value(&deep).err().map(|e| e.ends_with("no more than 16 levels")));
    }

    #[test]
    fn every_cut_text_is_an_error() {
        let text = r#"{"a":[1,{"b":"c\u00e9"}],"d":true}"#;

        for length in 0..text.len() {
            assert!(parse_object(&text.as_bytes()[..length]).is_err(), "{length}");
        }
    }
}
