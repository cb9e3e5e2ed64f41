//! Milvus's REST API: what the beginning of a JSON body says.

use crate::milvus::query;
use crate::milvus::question::Name;
use crate::wire::text::Text;

/// So much of a body is read, in bytes. SDKs and people write the names first; a vector is as large as this.
const MAX_BODY: usize = 4096;
const MAX_KEY: usize = 24;

/// Milvus's codes for success: 0, and 200 in version 1.
pub const SUCCESS: [u64; 2] = [0, 200];

/// What the beginning of a request or of an answer says, while it passes.
#[derive(Debug, Default)]
pub struct Body {
    pub database: Name,
    pub collection: Name,
    pub code: Option<u64>,
    /// The bytes that have passed.
    pub bytes: u64,
    state: State,
    depth: u32,
    key: Text<MAX_KEY>,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// Outside of texts; the next text of the outermost object is a key.
    #[default]
    Key,
    /// After a key of the outermost object.
    Value,
    Text(Role, Escape),
    Number(u64),
    /// No more is read.
    Done,
}

/// Where a text is in an escape.
#[derive(Clone, Copy, Debug)]
enum Escape {
    No,
    /// After a backslash.
    Begun,
    /// In the four digits of `uXXXX`: their value, and how many have come.
    Unicode(u16, u8),
}

#[derive(Clone, Copy, Debug)]
enum Role {
    Key,
    Database,
    Collection,
    Other,
}

impl Body {
    /// Takes the names in the query of a `:path`. Milvus reads it in the two GET requests of version 1 only.
    pub fn read_query(&mut self, path: &[u8]) {
        let Some(query) = query::of(path) else { return };
        if let Some(name) = query::value(query, b"collectionName") {
            self.collection.push(&name, true);
        }
        if let Some(name) = query::value(query, b"dbName") {
            self.database.push(&name, true);
        }
    }

    /// Whether nothing more is read.
    pub fn is_read(&self) -> bool {
        matches!(self.state, State::Done) || self.bytes >= MAX_BODY as u64
    }

    /// Reads the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        let seen = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        for byte in &piece[..piece.len().min(MAX_BODY.saturating_sub(seen))] {
            if matches!(self.state, State::Done) {
                return;
            }
            self.byte(*byte);
        }
    }

    fn byte(&mut self, byte: u8) {
        match self.state {
            State::Text(role, escape) => self.text_byte(role, escape, byte),
            State::Number(value) => match byte {
                b'0'..=b'9' => {
                    let digit = u64::from(byte - b'0');
                    self.state = State::Number(value.saturating_mul(10).saturating_add(digit));
                }
                _ => {
                    self.code = Some(value);
                    self.state = State::Value;
                    self.byte(byte);
                }
            },
            State::Key | State::Value => self.between(byte),
            State::Done => {}
        }
    }

    /// Reads a byte of a text, decoded as Go's JSON decodes it.
    fn text_byte(&mut self, role: Role, escape: Escape, byte: u8) {
        let next = match (escape, byte) {
            (Escape::No, b'"') => {
                self.state = if let Role::Key = role { State::Value } else { State::Key };
                return;
            }
            (Escape::No, b'\\') => Escape::Begun,
            (Escape::No, _) => {
                self.text(role, &[byte]);
                Escape::No
            }
            (Escape::Begun, b'u') => Escape::Unicode(0, 0),
            (Escape::Begun, _) => {
                let character = match byte {
                    b'b' => 0x08,
                    b'f' => 0x0c,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => other,
                };
                self.text(role, &[character]);
                Escape::No
            }
            (Escape::Unicode(before, count), _) => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                let unit = (before << 4) | digit as u16;
                if count < 3 {
                    Escape::Unicode(unit, count + 1)
                } else {
                    // Pairs of surrogates are not put together: Milvus's names are ASCII.
                    let character =
                        char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER);
                    self.text(role, character.encode_utf8(&mut [0; 4]).as_bytes());
                    Escape::No
                }
            }
        };
        self.state = State::Text(role, next);
    }

    fn between(&mut self, byte: u8) {
        match byte {
            b'"' => {
                let role = self.role();
                self.state = State::Text(role, Escape::No);
            }
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.state = State::Done;
                }
            }
            b',' if self.depth == 1 => self.state = State::Key,
            b'0'..=b'9' if self.is_value_of(b"code") => {
                self.state = State::Number(u64::from(byte - b'0'));
            }
            _ => {}
        }
    }

    /// What the text that begins is.
    fn role(&mut self) -> Role {
        if self.depth == 1 && matches!(self.state, State::Key) {
            self.key.clear();
            return Role::Key;
        }
        if self.is_value_of(b"dbName") {
            self.database = Name::default();
            return Role::Database;
        }
        if self.is_value_of(b"collectionName") {
            self.collection = Name::default();
            return Role::Collection;
        }
        Role::Other
    }

    /// Whether the value of `key` begins. Go's JSON ignores the case of keys.
    fn is_value_of(&self, key: &[u8]) -> bool {
        self.depth == 1
            && matches!(self.state, State::Value)
            && self.key.as_bytes().eq_ignore_ascii_case(key)
    }

    fn text(&mut self, role: Role, bytes: &[u8]) {
        match role {
            Role::Key => {
                for byte in bytes {
                    self.key.push(*byte);
                }
            }
            Role::Database => self.database.push(bytes, false),
            Role::Collection => self.collection.push(bytes, false),
            Role::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::milvus::rest_path::{database_header, rpc_of};
    use crate::wire::fuzz::{damage, fuzz};

    fn read(json: &str, size: usize) -> (String, String, Option<u64>) {
        let mut body = Body::default();
        json.as_bytes().chunks(size).for_each(|piece| body.push(piece));
        assert_eq!(json.len() as u64, body.bytes);
        let text = |name: &Name| String::from_utf8_lossy(name.bytes()).into_owned();
        (text(&body.database), text(&body.collection), body.code)
    }

    #[test]
    fn the_names_and_the_code_of_the_outermost_object_are_read() {
        for (json, database, collection, code) in [
            (r#"{"dbName":"d","collectionName":"c","data":[[0.1,0.2]]}"#, "d", "c", None),
            (
                r#" { "data" : [ {"collectionName":"x"} ] , "collectionName" : "c" } "#,
                "",
                "c",
                None,
            ),
            (r#"{"filter":"collectionName","collectionName":"c","dbName":null}"#, "", "c", None),
            (r#"{"filter":"a\"","collectionName":"c"}"#, "", "c", None),
            (r#"{"filter":"\\","collectionName":"c"}"#, "", "c", None),
            (r#"{"CollectionName":"c","DBNAME":"d"}"#, "d", "c", None),
            (r#"{"collectionName":"a","COLLECTIONNAME":"c"}"#, "", "c", None),
            (r#"{"collection\u004eame":"\u0062\u006foks\u000A\/"}"#, "", "books\n/", None),
            (
                r#"{"dbName":"\u00e9\ud83d\n\\","collectionName":"c"}"#,
                "\u{e9}\u{fffd}\n\\",
                "c",
                None,
            ),
            (r#"{"code":0,"data":{}}"#, "", "", Some(0)),
            (r#"{"code":1100,"message":"{\"code\":7}"}"#, "", "", Some(1100)),
            (r#"{"data":{"code":5},"code":200}"#, "", "", Some(200)),
            (r#"{"code":-1,"message":""}"#, "", "", Some(1)),
            (r#"{"code":"7"}"#, "", "", None),
            ("[]", "", "", None),
            ("\"collectionName\":\"c\"", "", "", None),
            ("", "", "", None),
        ] {
            for size in [1, 2, 3, 7, 1000] {
                let expected = (database.to_owned(), collection.to_owned(), code);
                assert_eq!(expected, read(json, size), "{json} {size}");
            }
        }
    }

    #[test]
    fn only_the_beginning_is_read_and_names_are_bounded() {
        let long = format!(r#"{{"data":"{}","collectionName":"c"}}"#, "x".repeat(MAX_BODY));
        assert_eq!("", read(&long, 100).1);

        let name = format!(r#"{{"collectionName":"{}"}}"#, "x".repeat(1000));
        assert_eq!(255, read(&name, 100).1.len());

        let deep = "[".repeat(MAX_BODY) + "]";
        assert_eq!("", read(&deep, 100).1);
    }

    #[test]
    fn the_query_of_version_1_names_a_collection() {
        for (path, collection, database) in [
            ("/v1/vector/collections/describe?x=1&collectionName=c&dbName=d", "c", "d"),
            ("/v1/vector/collections?dbName=d", "", "d"),
            ("/v1/vector/collections/describe?collection%4Eame=%63+1%2b&dbName=a=b", "c 1+", "a=b"),
            ("/v1/vector/collections/describe?collectionName=c&collectionName=d", "c", ""),
            ("/v1/vector/collections/describe?collectionName=a;b&collectionName=%6&dbName", "", ""),
            ("/v1/vector/collections/describe?collectionName&collectionName=d", "", ""),
            // Milvus does not read these.
            ("/v1/vector/insert?collectionName=c&dbName=d", "", ""),
            ("/v2/vectordb/collections/describe?collectionName=c&dbName=d", "", ""),
        ] {
            let mut body = Body::default();
            body.read_query(path.as_bytes());

            let names = (body.collection.bytes(), body.database.bytes());
            assert_eq!((collection.as_bytes(), database.as_bytes()), names, "{path}");
        }
    }

    #[test]
    fn whatever_a_stranger_sends_is_read_to_its_end() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let alphabet = br#"{}[]":,\0a9 collectionNamedbcode"#;
        for _ in 0..20_000 {
            let mut body = Body::default();
            for _ in 0..40 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                body.push(&[alphabet[(state % alphabet.len() as u64) as usize]]);
            }
            assert!(body.collection.bytes().len() <= 40 && body.bytes == 40);
        }
    }

    /// The pieces of a body make no difference, and nothing that is kept of it is long.
    #[test]
    fn fuzz_rest() {
        let bodies = [
            r#"{"collectionName":"b\u00f6oks","dbName":"d","data":[[0.1,0.2]],"limit":10}"#,
            r#"{"code":200,"data":[{"id":"1","distance":0.5}]}"#,
            r#"{"code":100,"message":"no \"such\" collection","data":{"code":7}}"#,
        ];
        let paths = [
            "/v2/vectordb/entities/search",
            "/v1/vector/search",
            "/v1/vector/collections/describe?collectionName=b%20c&dbName=d",
        ];
        fuzz("REST", 50_000, |random| {
            let mut bytes = random.one(&bodies).as_bytes().to_vec();
            damage(&mut bytes, random);
            let (mut whole, mut pieces) = (Body::default(), Body::default());
            whole.push(&bytes);
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(1 + random.below(rest.len().min(9)));
                pieces.push(piece);
                rest = later;
            }
            let said = |body: &Body| {
                let names = [&body.database, &body.collection].map(|name| name.bytes().to_vec());
                (names, body.code, body.bytes)
            };
            assert_eq!(said(&whole), said(&pieces), "{bytes:02x?}");
            assert!(said(&whole).0.iter().all(|name| name.len() <= 255));
            let mut path = random.one(&paths).as_bytes().to_vec();
            damage(&mut path, random);
            whole.read_query(&path);
            let _ = (rpc_of(&path), database_header(&path));
        });
    }
}
