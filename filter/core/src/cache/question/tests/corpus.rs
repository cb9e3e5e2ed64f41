//! The requests of testdata/questions.json, made by PyMilvus.

use std::sync::LazyLock;

use crate::cache::question::headers::Header;
use crate::cache::question::method::Method;
use crate::cache::question::read;
use crate::cache::question::tests::model::Kinds;
use crate::cache::read::{Level, Read};
use crate::cache::reason::Reason;
use crate::wire::json::{parse_object, Object, Value};

const QUESTIONS: &str = include_str!("../../../../../testdata/questions.json");

pub type Headers = Vec<(String, String)>;

pub struct Variant {
    /// `same` key as the base, an`other` one, or the reason why there is none.
    pub outcome: String,
    pub what: String,
    pub message: Vec<u8>,
    pub headers: Headers,
    /// The level and the guarantee that it wants, if the corpus says so.
    pub wants: Option<(Option<Level>, u64)>,
}

pub struct Question {
    pub name: String,
    pub method: Method,
    pub message: Vec<u8>,
    pub headers: Headers,
    pub variants: Vec<Variant>,
}

pub struct Corpus {
    pub questions: Vec<Question>,
    pub kinds: Kinds,
}

pub static CORPUS: LazyLock<Corpus> = LazyLock::new(Corpus::load);

pub fn ask(method: Method, headers: &Headers, message: &[u8]) -> Result<Read, Reason> {
    let headers: Vec<Header> =
        headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    read(method, &headers, message)
}

impl Question {
    pub fn ask(&self) -> Read {
        ask(self.method, &self.headers, &self.message).unwrap()
    }
}

impl Corpus {
    fn load() -> Self {
        let mut corpus = parse_object(QUESTIONS.as_bytes()).unwrap();
        let headers = headers(corpus.take("headers").unwrap());
        let Some(Value::Object(kinds)) = corpus.take("kinds") else { panic!("no kinds") };
        let questions = objects(corpus.take("questions"))
            .map(|mut question| Question {
                name: text(&mut question, "name"),
                method: method(&text(&mut question, "method")),
                message: bytes(&text(&mut question, "message")),
                headers: headers.clone(),
                variants: objects(question.take("variants"))
                    .map(|variant| Variant::of(variant, &headers))
                    .collect(),
            })
            .collect();
        Self { questions, kinds: Kinds::of(kinds) }
    }
}

impl Variant {
    fn of(mut variant: Object, usual: &Headers) -> Self {
        let wants = variant.take("wants").map(|wants| {
            let Value::Object(mut wants) = wants else { panic!("{wants}") };
            (level(&text(&mut wants, "level")), text(&mut wants, "guarantee").parse().unwrap())
        });
        Self {
            outcome: text(&mut variant, "outcome"),
            what: text(&mut variant, "what"),
            message: bytes(&text(&mut variant, "message")),
            headers: variant.take("headers").map_or_else(|| usual.clone(), headers),
            wants,
        }
    }
}

fn objects(list: Option<Value>) -> impl Iterator<Item = Object> {
    let Some(Value::List(list)) = list else { panic!("no list") };
    list.into_iter().map(|each| {
        let Value::Object(object) = each else { panic!("{each}") };
        object
    })
}

fn text(object: &mut Object, key: &str) -> String {
    object.take_text(key).unwrap().unwrap()
}

fn bytes(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn headers(list: Value) -> Headers {
    let Value::List(list) = list else { panic!("{list}") };
    let header = |pair: Value| {
        let Value::List(pair) = pair else { panic!("{pair}") };
        let [Value::Text(name), Value::Text(value)] = &pair[..] else { panic!("no header") };
        (name.clone(), value.clone())
    };
    list.into_iter().map(header).collect()
}

fn method(name: &str) -> Method {
    match name {
        "Search" => Method::Search,
        "HybridSearch" => Method::HybridSearch,
        "Query" => Method::Query,
        _ => panic!("{name}"),
    }
}

fn level(name: &str) -> Option<Level> {
    match name {
        "Default" => None,
        "Strong" => Some(Level::Strong),
        "Session" => Some(Level::Session),
        "Bounded" => Some(Level::Bounded),
        "Eventually" => Some(Level::Eventually),
        "Customized" => Some(Level::Customized),
        _ => panic!("{name}"),
    }
}
